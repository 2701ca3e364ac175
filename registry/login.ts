import { KilnError } from '../base/errors.ts';
import { RegistryClient, type RegistryOptions } from './client.ts';
import { credentialHelper } from './credential-helper.ts';
import { helperFor, readDockerConfig, replaceAuth, serverKey } from './docker-config.ts';

/** A user name with a password or an access token. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/**
 * The location of docker's configuration, and the environment in which helper programs are found.
 */
export interface LoginStore {
  /** The path of docker's config.json. */
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Asks the registry `host` whether it accepts `login`. Throws KILN_REGISTRY_DENIED and the errors
 * of registry/client.ts.
 */
export async function verifyLogin(
  host: string,
  login: Login,
  options: RegistryOptions,
  signal: AbortSignal,
): Promise<void> {
  const credentials = async (asked: string) =>
    asked === host ? ({ kind: 'basic', ...login } as const) : undefined;
  await using client = new RegistryClient({ ...options, credentials });
  try {
    await client.ping(host, signal);
  } catch (error) {
    if (!(error instanceof KilnError) || !/^KILN_REGISTRY_(DENIED|UNAUTHORIZED)$/.test(error.code))
      throw error;
    throw new KilnError(
      'KILN_REGISTRY_DENIED',
      `${host} does not accept the login of ${login.username}: ${error.message}`,
      {
        hint:
          'check the user name and the password; some registries want an ' +
          'access token in its place',
        cause: error,
      },
    );
  }
}

/**
 * Stores `login` as docker does: with the helper that docker's config.json names for the host, or
 * else in the file itself. Returns whether it is stored there in clear text.
 */
export async function saveLogin(
  host: string,
  login: Login,
  store: LoginStore,
  signal: AbortSignal,
): Promise<{ clear: boolean }> {
  const helper = helperFor(readDockerConfig(store.path), host);
  if (helper === undefined) {
    replaceAuth(store.path, host, {
      auth: Buffer.from(`${login.username}:${login.password}`).toString('base64'),
    });
    return { clear: true };
  }
  const secret = { username: login.username, secret: login.password };
  await credentialHelper(helper, store.env).store(serverKey(host), secret, signal);
  // Docker also leaves an empty entry, which says that a login exists.
  replaceAuth(store.path, host, {});
  return { clear: false };
}

/** Removes the login for `host` wherever it is stored. */
export async function removeLogin(
  host: string,
  store: LoginStore,
  signal: AbortSignal,
): Promise<void> {
  const config = readDockerConfig(store.path);
  const helper = helperFor(config, host);
  if (helper !== undefined)
    await credentialHelper(helper, store.env).erase(serverKey(host), signal);
  if (config.auths) replaceAuth(store.path, host, undefined);
}
