/**
 * Returns the attributes with gzip in the place of `compression=estargz`, and warns. Layers of
 * estargz are gzip with an index, by which hosts fetch files when they are read. Kiln makes no such
 * index, and every tool reads the layers without it. `what` says in the warning whose
 * attributes they are.
 */
export function withoutLazy(
  attrs: Readonly<Record<string, string>>,
  what: string,
  warn: (sentence: string) => void,
): Readonly<Record<string, string>> {
  if (attrs['compression'] !== 'estargz') return attrs;
  warn(`${what} has layers of plain gzip, and none of estargz: files cannot be fetched one by one`);
  return { ...attrs, compression: 'gzip' };
}
