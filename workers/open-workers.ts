import type { OtherWorkers } from '../builder/other-workers.ts';
import { isNatsAddress, parseNatsAddress } from './nats/nats-address.ts';
import { openNats } from './nats/open-nats.ts';
import { ApiPool } from './placing/api-pool.ts';
import { NatsPool } from './placing/nats-pool.ts';
import { otherMachines } from './placing/other-machines.ts';
import type { MachinePool } from './placing/pool.ts';

export interface WorkersOptions {
  /** Addresses of NATS servers, and of servers of BuildKit's API. */
  readonly addresses: readonly string[];
  /** What named them, for messages. */
  readonly flag: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly label?: string | undefined;
  readonly warn: (sentence: string) => void;
}

/**
 * Opens the workers at these addresses. Throws KILN_ADDRESS_INVALID. A NATS server that cannot be
 * reached is a warning: the builds run here.
 */
export async function openWorkers({
  addresses,
  flag,
  env,
  label,
  warn,
}: WorkersOptions): Promise<OtherWorkers> {
  const parsed = addresses.map((text) =>
    isNatsAddress(text) ? parseNatsAddress(text, flag, env) : text,
  );
  const pools: MachinePool[] = [];
  for (const address of parsed) {
    if (typeof address === 'string') {
      pools.push(new ApiPool(address, flag));
      continue;
    }
    const nats = await openNats(address, flag, 'kiln build');
    pools.push(new NatsPool({ nats, label, warn }));
  }
  return otherMachines(pools);
}
