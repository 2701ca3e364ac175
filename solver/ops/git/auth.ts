import { type SecretLookup, secretText } from '../secret-text.ts';
import type { GitSource } from './git-source.ts';

/**
 * The Authorization header for an http remote, from the secrets of the build. The first secret that
 * exists is used, in BuildKit's order: GIT_AUTH_HEADER.host, GIT_AUTH_TOKEN.host, GIT_AUTH_HEADER,
 * GIT_AUTH_TOKEN. (The graph gives these names.) A token becomes the password of `x-access-token`.
 */
export async function gitAuthorization(
  { remote, secrets }: GitSource,
  secret: SecretLookup,
): Promise<string | undefined> {
  if (!/^https?:/.test(remote)) return undefined;
  const { host } = new URL(remote);
  const { header, token } = secrets;
  for (const suffix of [`.${host}`, '']) {
    const found =
      (header && (await secretText(header + suffix, secret))) ||
      (token && basic(await secretText(token + suffix, secret)));
    if (found) return found;
  }
  return undefined;
}

function basic(token: string | undefined): string | undefined {
  return token && `basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
}
