export type SecretLookup = (id: string) => Promise<Uint8Array | undefined>;

/**
 * A secret that is one line of text, without the line break that an editor leaves at the end of a
 * file.
 */
export async function secretText(id: string, secret: SecretLookup): Promise<string | undefined> {
  const bytes = await secret(id);
  return bytes && Buffer.from(bytes).toString('utf8').trimEnd();
}
