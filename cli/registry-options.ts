import { join } from 'node:path';
import type { RegistryOptions } from '../registry/client.ts';
import { readHostsConfig } from '../registry/config.ts';
import { dockerCredentials } from '../registry/credentials.ts';
import { proxySettings } from '../registry/proxy.ts';
import { configPath } from './config-path.ts';
import { homeDirectory } from './user-directories.ts';

/** Certificates by host, as docker has them. */
const CERTIFICATES = '/etc/docker/certs.d';

/**
 * How registries are spoken to: logins of docker's config.json, proxies of the environment, and the
 * host's configuration file.
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

/** docker's config.json: in DOCKER_CONFIG, or in `.docker` of the home directory. */
export function dockerConfigPath(env: Readonly<Record<string, string | undefined>>): string {
  return join(env['DOCKER_CONFIG'] || join(homeDirectory(env), '.docker'), 'config.json');
}
