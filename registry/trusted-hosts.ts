import type { RegistryOptions } from './client.ts';
import { DEFAULTS } from './hosts.ts';

/**
 * Options with which some hosts may use plain http or any certificate, because the caller says so
 * of an output or a cache (`registry.insecure=true`). `trusted` may get more hosts later.
 */
export function trusting(options: RegistryOptions, trusted: ReadonlySet<string>): RegistryOptions {
  const { hosts } = options;
  return {
    ...options,
    hosts: {
      get: (host) => {
        const own = hosts?.get(host);
        return trusted.has(host) ? { ...DEFAULTS, ...own, insecure: true } : own;
      },
    },
  };
}
