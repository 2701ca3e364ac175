import { KilnError } from '../base/errors.ts';
import { RegistryClient, type RegistryOptions } from './client.ts';
import { credentialHelper } from './credential-helper.ts';
import { helperFor, readDockerConfig, replaceAuth, serverKey } from './docker-config.ts';

/** A user name with a password or an access token. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/** Where docker's configuration is, and where helper programs are found. */
export interface LoginStore {
  /** docker's config.json. */
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Asks the registry `host` whether it takes `login`. Throws KILN_REGISTRY_DENIED and what registry/client.ts throws. */
export async function verifyLogin(host: string, login: Login, options: RegistryOptions, signal: AbortSignal): Promise<void> {
  const credentials = async (asked: string) => (asked === host ? ({ kind: 'basic', ...login } as const) : undefined);
  await using client = new RegistryClient({ ...options, credentials });
  try {
    await client.ping(host, signal);
  } catch (error) {
    if (!(error instanceof KilnError) || !/^KILN_REGISTRY_(DENIED|UNAUTHORIZED)$/.test(error.code)) throw error;
    throw new KilnError('KILN_REGISTRY_DENIED', `${host} does not take the login of ${login.username}: ${error.message}`, {
      hint: 'check the user name and the password; some registries want an access token in its place',
      cause: error,
    });
  }
}

/**
 * Keeps `login` as docker does: with the helper that docker's config.json names for the host, else in the file itself. Answers whether
 * it lies there in clear text.
 */
export async function saveLogin(host: string, login: Login, store: LoginStore, signal: AbortSignal): Promise<{ clear: boolean }> {
  const helper = helperFor(readDockerConfig(store.path), host);
  if (helper === undefined) {
    replaceAuth(store.path, host, { auth: Buffer.from(`${login.username}:${login.password}`).toString('base64') });
    return { clear: true };
  }
  const secret = { username: login.username, secret: login.password };
  await credentialHelper(helper, store.env).store(serverKey(host), secret, signal);
  // Docker, too, leaves an empty entry, which says that there is a login.
  replaceAuth(store.path, host, {});
  return { clear: false };
}

/** Forgets the login for `host` wherever it is kept. */
export async function removeLogin(host: string, store: LoginStore, signal: AbortSignal): Promise<void> {
  const config = readDockerConfig(store.path);
  const helper = helperFor(config, host);
  if (helper !== undefined) await credentialHelper(helper, store.env).erase(serverKey(host), signal);
  if (config.auths) replaceAuth(store.path, host, undefined);
}
