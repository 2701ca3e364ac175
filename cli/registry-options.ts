import { join } from 'node:path';
import type { RegistryOptions } from '../registry/client.ts';
import { readHostsConfig } from '../registry/config.ts';
import { type CredentialSource, dockerCredentials } from '../registry/credentials.ts';
import { DEFAULTS } from '../registry/hosts.ts';
import { proxySettings } from '../registry/proxy.ts';
import { configPath } from './config-path.ts';
import { homeDirectory } from './user-directories.ts';

/** Docker's directory of certificates, with a directory for each registry host. */
export const CERTIFICATES = '/etc/docker/certs.d';

type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the settings for talking to registries, with the logins of the user. */
export async function registryOptions(env: Environment): Promise<RegistryOptions> {
  return { ...(await registrySettings(env)), credentials: userCredentials(env) };
}

/**
 * Returns the settings without logins: proxies from the environment, mirrors and certificates from
 * kiln.toml and /etc/docker/certs.d. Unless `verify`, every registry may use plain http and any
 * certificate. Throws when a file is not valid.
 */
export async function registrySettings(
  env: Environment,
  verify = true,
): Promise<Omit<RegistryOptions, 'credentials'>> {
  const hosts = await readHostsConfig(configPath(env), CERTIFICATES);
  const any: typeof hosts = {
    get: (host) => ({ ...(hosts.get(host) ?? DEFAULTS), insecure: true }),
  };
  return { hosts: verify ? hosts : any, proxies: proxySettings(env) };
}

/**
 * Returns the logins of docker's config.json, or of `file`, which has the same form. It is read
 * when the first one is looked up.
 */
export function userCredentials(env: Environment, file = dockerConfigPath(env)): CredentialSource {
  return dockerCredentials(file, env);
}

/** Returns the path of docker's config.json, in DOCKER_CONFIG or in ~/.docker. */
export function dockerConfigPath(env: Environment): string {
  return join(env['DOCKER_CONFIG'] || join(homeDirectory(env), '.docker'), 'config.json');
}
