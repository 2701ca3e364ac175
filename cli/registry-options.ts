import { join } from 'node:path';
import type { RegistryOptions } from '../registry/client.ts';
import { readHostsConfig } from '../registry/config.ts';
import { dockerCredentials } from '../registry/credentials.ts';
import { proxySettings } from '../registry/proxy.ts';
import { configPath } from './config-path.ts';
import { homeDirectory } from './user-directories.ts';

/** Docker's directory of certificates, with a directory for each registry host. */
const CERTIFICATES = '/etc/docker/certs.d';

/**
 * Returns the settings for talking to registries: logins from docker's config.json, proxies from
 * the environment, mirrors and certificates from kiln.toml and /etc/docker/certs.d. Throws when a
 * file is not valid.
 */
export async function registryOptions(
  env: Readonly<Record<string, string | undefined>>,
): Promise<RegistryOptions> {
  const hosts = await readHostsConfig(configPath(env), CERTIFICATES);
  return {
    hosts,
    credentials: dockerCredentials(dockerConfigPath(env), env),
    proxies: proxySettings(env),
  };
}

/** Returns the path of docker's config.json, in DOCKER_CONFIG or in ~/.docker. */
export function dockerConfigPath(env: Readonly<Record<string, string | undefined>>): string {
  return join(env['DOCKER_CONFIG'] || join(homeDirectory(env), '.docker'), 'config.json');
}
