import { KilnError } from '../../../base/errors.ts';
import { type SecretLookup, secretText } from '../secret-text.ts';
import type { HttpSource } from './http-source.ts';

/**
 * The Authorization header of a request, from the secrets of the build: the secret that the graph
 * names, or else HTTP_AUTH_TOKEN_host (a bearer token) or HTTP_AUTH_HEADER_host (the whole header).
 * It is read with each request and not part of a key. Rejects with KILN_SECRET_NOT_FOUND if the
 * graph names a secret that does not exist.
 */
export async function authorization(
  { authSecret, url }: HttpSource,
  secret: SecretLookup,
): Promise<string | undefined> {
  if (authSecret !== undefined) {
    const value = await secretText(authSecret, secret);
    if (value === undefined) {
      const hint = `give it: --secret id=${authSecret},env=…`;
      throw new KilnError(
        'KILN_SECRET_NOT_FOUND',
        `secret ${authSecret}: not found; it holds the login for ${url.host}`,
        { hint },
      );
    }
    return value;
  }
  const token = await secretText(`HTTP_AUTH_TOKEN_${url.hostname}`, secret);
  return token !== undefined
    ? `Bearer ${token}`
    : await secretText(`HTTP_AUTH_HEADER_${url.hostname}`, secret);
}
