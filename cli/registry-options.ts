import { homedir } from 'node:os';
import { join } from 'node:path';
import type { RegistryOptions } from '../registry/client.ts';
import { readHostsConfig } from '../registry/config.ts';
import { dockerCredentials } from '../registry/credentials.ts';
import { proxySettings } from '../registry/proxy.ts';

/** Read in the form of buildkitd.toml's `[registry."host"]` tables: mirrors, http, insecure, ca. */
const HOSTS_CONFIG = '/etc/kiln/kiln.toml';

/** How registries are spoken to: logins of docker's config.json, proxies of the environment, and the host's configuration file. */
export async function registryOptions(env: Readonly<Record<string, string | undefined>>): Promise<RegistryOptions> {
  const directory = env['DOCKER_CONFIG'] || join(env['HOME'] || homedir(), '.docker');
  const hosts = await readHostsConfig(env['KILN_CONFIG'] || HOSTS_CONFIG);
  return { hosts, credentials: dockerCredentials(join(directory, 'config.json'), env), proxies: proxySettings(env) };
}
