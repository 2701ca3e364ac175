import type { NatsAddress } from '../nats/nats-address.ts';
import { openNats } from '../nats/open-nats.ts';
import { ApiPool } from './api-pool.ts';
import { NatsPool, type NatsPoolOptions } from './nats-pool.ts';
import type { MachinePool } from './pool.ts';

/**
 * Opens the machines at these addresses: NATS servers, and servers of BuildKit's API. What cannot
 * be reached is told by the pool when it is asked.
 */
export function openPools(
  addresses: readonly (NatsAddress | string)[],
  { flag, ...options }: Omit<NatsPoolOptions, 'open'> & { readonly flag: string },
): readonly MachinePool[] {
  return addresses.map((address) =>
    typeof address === 'string'
      ? new ApiPool(address, flag)
      : new NatsPool({ ...options, open: () => openNats(address, flag, 'kiln build') }),
  );
}
