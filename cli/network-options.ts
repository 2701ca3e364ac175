import type { NetworkFallback } from '../executor/network/open-network.ts';
import { configPath } from './config-path.ts';

/**
 * What kiln.toml says about steps for which no network can be had; it is read when there are such.
 */
export function configuredNetwork(
  env: Readonly<Record<string, string | undefined>>,
): () => Promise<NetworkFallback> {
  return async () => (await import('./network-config.ts')).configuredFallback(configPath(env));
}
