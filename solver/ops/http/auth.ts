import { KilnError } from '../../../base/errors.ts';
import { type SecretLookup, secretText } from '../secret-text.ts';
import type { HttpSource } from './http-source.ts';

/**
 * The Authorization header of a request, from the build's secrets: the one that the graph names,
 * else HTTP_AUTH_HEADER_host (the header as it is) or HTTP_AUTH_TOKEN_host (a bearer token). Read
 * when a request is made, and in no key.
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
        `secret ${authSecret}: not found; ${url.host} is asked with it`,
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
