import { type SecretLookup, secretText } from '../secret-text.ts';
import type { GitSource } from './git-source.ts';

/**
 * The Authorization header for a remote by http, from the build's secrets, in BuildKit's order:
 * GIT_AUTH_HEADER.host, GIT_AUTH_TOKEN.host, GIT_AUTH_HEADER, GIT_AUTH_TOKEN (names as the graph
 * says). A token goes as the password of `x-access-token`.
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
