import type { Filter } from './filter.ts';

/**
 * What to remove, as BuildKit's PruneInfo: items that match, in the order of their last use, until what is left fits. Sizes in bytes, 0 for
 * none; times in milliseconds.
 */
export interface PrunePolicy {
  /** Said with each victim: `policy 2`, or '' for a command. */
  readonly name: string;
  readonly filter: Filter;
  /** Also what is internal, and records whose layers an image keeps. */
  readonly all: boolean;
  /** What was used this recently stays. */
  readonly keepMs: number;
  /** This much may always stay. */
  readonly reserved: number;
  readonly maxUsed: number;
  readonly minFree: number;
}

/** The file system of the store. */
export interface Disk {
  readonly total: number;
  readonly free: number;
}

/** How many bytes may stay; undefined when the policy sets no limit. BuildKit: cache/manager.go, calculateKeepBytes. */
export function keepBytes(policy: PrunePolicy, used: number, disk: Disk): number | undefined {
  if (policy.maxUsed === 0 && policy.reserved === 0 && policy.minFree === 0) return undefined;
  const excess = policy.minFree - disk.free;
  const caps = [policy.maxUsed > 0 ? policy.maxUsed : Number.POSITIVE_INFINITY];
  if (excess > 0) caps.push(Math.max(0, used - excess));
  const cap = Math.min(...caps);
  // With neither a maximum nor a shortage the reserved space alone is the limit only when it was the only one given.
  if (cap === Number.POSITIVE_INFINITY) return policy.minFree > 0 ? Number.POSITIVE_INFINITY : policy.reserved;
  return Math.max(cap, policy.reserved);
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export interface SpaceLimits {
  readonly reserved: number;
  readonly maxUsed: number;
  readonly minFree: number;
}

/** BuildKit's defaults: a tenth of the disk but at most 10 GB is always kept, at most three quarters are used, a fifth stays free. */
export function defaultLimits(disk: Disk): SpaceLimits {
  return { reserved: Math.min(disk.total / 10, 10e9), maxUsed: disk.total * 0.75, minFree: disk.total / 5 };
}

/** The four steps of BuildKit's default policy: what is easily made again, what is old, what is over the limit, and then anything. */
export function defaultPolicies(limits: SpaceLimits): PrunePolicy[] {
  const everything: Filter = () => true;
  const easy: Filter = (item) =>
    item.type === 'source.local' || item.type === 'exec.cachemount' || item.type === 'source.git.checkout';
  return [
    { name: 'policy 1', filter: easy, all: false, keepMs: 48 * HOUR, reserved: 0, maxUsed: 512e6, minFree: 0 },
    { name: 'policy 2', filter: everything, all: false, keepMs: 60 * DAY, ...limits },
    { name: 'policy 3', filter: everything, all: false, keepMs: 0, ...limits },
    { name: 'policy 4', filter: everything, all: true, keepMs: 0, ...limits },
  ];
}
