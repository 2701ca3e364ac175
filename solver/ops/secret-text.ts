/** The bytes of a secret by its id (`StepSession.secret`). */
export type SecretLookup = (id: string) => Promise<Uint8Array | undefined>;

/**
 * A secret as text, without the line break that an editor leaves at the end. Undefined if there is
 * no secret with this id.
 */
export async function secretText(id: string, secret: SecretLookup): Promise<string | undefined> {
  const bytes = await secret(id);
  return bytes && Buffer.from(bytes).toString('utf8').trimEnd();
}
