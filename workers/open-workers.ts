import type { OtherWorkers } from '../builder/other-workers.ts';
import { isNatsAddress, parseNatsAddress } from './nats/nats-address.ts';
import { otherMachines } from './placing/other-machines.ts';

export interface WorkersOptions {
  /** Addresses of NATS servers, and of servers of BuildKit's API. */
  readonly addresses: readonly string[];
  /** What named them, for messages. */
  readonly flag: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly label: string | undefined;
  /** Cache mounts are lent to workers, and taken from them. */
  readonly sharesCaches: boolean;
  readonly warn: (sentence: string) => void;
}

/**
 * The workers at these addresses. They are reached when a step may go to one. Throws
 * KILN_ADDRESS_INVALID. What cannot be reached then is a warning: the steps run here.
 */
export function openWorkers({
  addresses,
  env,
  flag,
  sharesCaches,
  ...options
}: WorkersOptions): OtherWorkers {
  const parsed = addresses.map((text) =>
    isNatsAddress(text) ? parseNatsAddress(text, flag, env) : text,
  );
  return otherMachines(async () => {
    const { openPools } = await import('./placing/open-pools.ts');
    return { pools: openPools(parsed, { flag, ...options }), sharesCaches };
  });
}
