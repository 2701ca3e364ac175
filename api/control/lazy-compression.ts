/**
 * Attributes in which `compression=estargz` is gzip. Layers of that form are gzip with an index for
 * hosts that fetch files when they are read. Kiln makes no such index, and without it every tool
 * reads them as well. A warning tells it. `what` is what the attributes are of.
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
