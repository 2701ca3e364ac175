import { readFileSync } from 'node:fs';

/**
 * A set of capabilities of this process: the bounding or the effective one. Each capability is the
 * bit with its number in capability.h.
 */
export function capabilitySet(name: 'CapBnd' | 'CapEff'): bigint {
  const status = readFileSync('/proc/self/status', 'latin1');
  return BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)`, 'm').exec(status)?.[1] ?? '0'}`);
}
