import { homedir } from 'node:os';
import { join } from 'node:path';
import type { RegistryOptions } from '../registry/client.ts';
import { dockerCredentials } from '../registry/credentials.ts';
import { proxySettings } from '../registry/proxy.ts';

/** How registries are spoken to: logins of docker's config.json, proxies of the environment. */
export function registryOptions(env: Readonly<Record<string, string | undefined>>): RegistryOptions {
  const directory = env['DOCKER_CONFIG'] || join(env['HOME'] || homedir(), '.docker');
  return { credentials: dockerCredentials(join(directory, 'config.json'), env), proxies: proxySettings(env) };
}
