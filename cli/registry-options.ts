import { join } from 'node:path';
import type { RegistryOptions } from '../registry/client.ts';
import { readHostsConfig } from '../registry/config.ts';
import { type CredentialSource, dockerCredentials } from '../registry/credentials.ts';
import { proxySettings } from '../registry/proxy.ts';
import { configPath } from './config-path.ts';
import { homeDirectory } from './user-directories.ts';

/** Docker's directory of certificates, with a directory for each registry host. */
const CERTIFICATES = '/etc/docker/certs.d';

type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the settings for talking to registries, with the logins of the user. */
export async function registryOptions(env: Environment): Promise<RegistryOptions> {
  return { ...(await registrySettings(env)), credentials: userCredentials(env) };
}

/**
 * Returns the settings without logins: proxies from the environment, mirrors and certificates from
 * kiln.toml and /etc/docker/certs.d. Throws when a file is not valid.
 */
export async function registrySettings(
  env: Environment,
): Promise<Omit<RegistryOptions, 'credentials'>> {
  const hosts = await readHostsConfig(configPath(env), CERTIFICATES);
  return { hosts, proxies: proxySettings(env) };
}

/** Returns the logins of docker's config.json. It is read when the first one is looked up. */
export function userCredentials(env: Environment): CredentialSource {
  return dockerCredentials(dockerConfigPath(env), env);
}

/** Returns the path of docker's config.json, in DOCKER_CONFIG or in ~/.docker. */
export function dockerConfigPath(env: Environment): string {
  return join(env['DOCKER_CONFIG'] || join(homeDirectory(env), '.docker'), 'config.json');
}
