import { type Filter, parseFilters } from './filter.ts';

/**
 * A rule for removal, like BuildKit's PruneInfo: items that match are removed in the order of their
 * last use until the rest fits. Sizes are in bytes, 0 for none; times are in milliseconds.
 */
export interface PrunePolicy {
  /** The name shown with each removed item: `policy 2`, or '' for a command. */
  readonly name: string;
  readonly filter: Filter;
  /** The filter as it is written, of which one text must match. */
  readonly filters?: readonly string[] | undefined;
  /** Also remove internal items, and records whose layers an image keeps. */
  readonly all: boolean;
  /** Items used within this time are kept. */
  readonly keepMs: number;
  /** This many bytes may always stay. */
  readonly reserved: number;
  readonly maxUsed: number;
  readonly minFree: number;
}

/** The file system of the store. */
export interface Disk {
  readonly total: number;
  readonly free: number;
}

/**
 * The number of bytes that may stay. Undefined when the policy sets no limit. BuildKit:
 * cache/manager.go, calculateKeepBytes.
 */
export function keepBytes(policy: PrunePolicy, used: number, disk: Disk): number | undefined {
  if (policy.maxUsed === 0 && policy.reserved === 0 && policy.minFree === 0) return undefined;
  const excess = policy.minFree - disk.free;
  const caps = [policy.maxUsed > 0 ? policy.maxUsed : Number.POSITIVE_INFINITY];
  if (excess > 0) caps.push(Math.max(0, used - excess));
  const cap = Math.min(...caps);
  // Without a maximum and without a shortage of space, the reserved space is the limit only when it
  // is the only value given.
  if (cap === Number.POSITIVE_INFINITY)
    return policy.minFree > 0 ? Number.POSITIVE_INFINITY : policy.reserved;
  return Math.max(cap, policy.reserved);
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export interface SpaceLimits {
  readonly reserved: number;
  readonly maxUsed: number;
  readonly minFree: number;
}

/** No limits: all items that match are removed. */
export const NO_LIMITS: SpaceLimits = { reserved: 0, maxUsed: 0, minFree: 0 };

/**
 * BuildKit's defaults: a tenth of the disk, at most 10 GB, is always kept; at most three quarters
 * are used; a fifth stays free.
 */
export function defaultLimits(disk: Disk): SpaceLimits {
  return {
    reserved: Math.min(disk.total / 10, 10e9),
    maxUsed: disk.total * 0.75,
    minFree: disk.total / 5,
  };
}

/**
 * The four steps of BuildKit's default policy: items that are easy to make again, then old items,
 * then items over the limit, then any item.
 */
export function defaultPolicies(limits: SpaceLimits): PrunePolicy[] {
  const everything: Filter = () => true;
  const easy = ['type==source.local', 'type==exec.cachemount', 'type==source.git.checkout'];
  return [
    {
      name: 'policy 1',
      filter: parseFilters(easy),
      filters: easy,
      all: false,
      keepMs: 48 * HOUR,
      reserved: 0,
      maxUsed: 512e6,
      minFree: 0,
    },
    { name: 'policy 2', filter: everything, all: false, keepMs: 60 * DAY, ...limits },
    { name: 'policy 3', filter: everything, all: false, keepMs: 0, ...limits },
    { name: 'policy 4', filter: everything, all: true, keepMs: 0, ...limits },
  ];
}
