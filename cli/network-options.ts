import type { NetworkFallback } from '../executor/network/open-network.ts';
import { configPath } from './config-path.ts';

/**
 * Returns a function that reads `networkFallback` from kiln.toml. It is called only on a host where
 * Kiln cannot make a network for a step.
 */
export function configuredNetwork(
  env: Readonly<Record<string, string | undefined>>,
): () => Promise<NetworkFallback> {
  return async () => (await import('./network-config.ts')).configuredFallback(configPath(env));
}
