import type { Item } from './item.ts';
import { type Disk, keepBytes, type PrunePolicy } from './policy.ts';

/** The reason for removing an item that no limit chose. */
export const ON_REQUEST = 'asked for';

/** An item that will be removed. */
export interface Victim {
  readonly item: Item;
  /** The reason for the removal, in words that a user of Kiln knows. */
  readonly reason: string;
}

/**
 * The items to remove, in this order, when the policies are applied one after the other. Items that
 * nothing refers to come first. An item in use, and an item that a kept item depends on, is never
 * removed. An item that a named image needs is kept as well, because removing it would free
 * nothing.
 */
export function plan(
  items: readonly Item[],
  policies: readonly PrunePolicy[],
  disk: Disk,
  now: number,
): Victim[] {
  const victims = new Map<string, Victim>();
  for (const item of items)
    if (item.garbage && !item.inUse) victims.set(item.id, { item, reason: whyGarbage(item) });
  const order = leavesFirst(items);
  const children = childrenOf(items);
  const shared = new Set(items.filter((item) => item.shared).map(({ id }) => id));
  let free = disk.free + totalSize([...victims.values()].map(({ item }) => item));
  for (const policy of policies) {
    const left = items.filter((item) => !victims.has(item.id));
    let used = totalSize(left.filter((item) => !item.shared && !item.fixed));
    const keep = keepBytes(policy, used, { ...disk, free });
    // A step stays cached only with the layers below it. When all steps are forgotten, a layer that
    // an image keeps needs no other.
    const forgets = forgetsAllSteps(policy, items);
    const needsParents = (child: string) => !victims.has(child) && !(forgets && shared.has(child));
    for (const item of order) {
      if (keep !== undefined && used <= keep) break;
      if (victims.has(item.id) || !isCandidate(item, policy, now)) continue;
      if (children.get(item.id)?.some(needsParents)) continue;
      victims.set(item.id, { item, reason: reasonFor(policy, keep) });
      used -= item.size;
      free += item.size;
    }
  }
  return [...victims.values()];
}

function whyGarbage({ content }: Item): string {
  return content.image === undefined
    ? 'nothing refers to it'
    : 'a later build or a name replaced it';
}

/**
 * True for a command that removes all layers without a limit. The records of steps whose layers an
 * image keeps are removed, too.
 */
export function forgetsAllSteps(policy: PrunePolicy, items: readonly Item[]): boolean {
  const { name, all, reserved, maxUsed, minFree, keepMs, filter } = policy;
  const isLimited = reserved !== 0 || maxUsed !== 0 || minFree !== 0 || keepMs !== 0;
  const isLayer = ({ content }: Item) => content.layer !== undefined;
  return name === '' && all && !isLimited && items.filter(isLayer).every(filter);
}

function isCandidate(item: Item, policy: PrunePolicy, now: number): boolean {
  if (item.fixed || item.inUse || item.shared) return false;
  if (item.type === 'internal' && !policy.all) return false;
  return item.used <= now - policy.keepMs && policy.filter(item);
}

function reasonFor(policy: PrunePolicy, keep: number | undefined): string {
  const parts: string[] = [];
  if (policy.keepMs > 0) parts.push(`not used for ${span(policy.keepMs)}`);
  if (keep !== undefined) parts.push(`the cache is larger than its limit of ${gigabytes(keep)}`);
  if (parts.length === 0) parts.push(ON_REQUEST);
  return `${parts.join(', ')}${policy.name === '' ? '' : ` (${policy.name})`}`;
}

function span(ms: number): string {
  const hours = ms / 3_600_000;
  return hours >= 72
    ? `${Math.round(hours / 24)} days`
    : hours >= 1
      ? `${Math.round(hours)} h`
      : `${Math.round(ms / 1000)} s`;
}

/** A size in gigabytes or megabytes, for messages. */
export function gigabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function totalSize(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + item.size, 0);
}

/**
 * The longest unused item first. Of two items used at the same time, the one that depends on the
 * other comes first.
 */
function leavesFirst(items: readonly Item[]): Item[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  const depths = new Map<string, number>();
  // Parents never form a circle: see stacks.ts.
  const depth = (item: Item): number => {
    const known = depths.get(item.id);
    if (known !== undefined) return known;
    let deepest = 0;
    for (const id of item.parents) {
      const parent = byId.get(id);
      if (parent) deepest = Math.max(deepest, 1 + depth(parent));
    }
    depths.set(item.id, deepest);
    return deepest;
  };
  return [...items].sort(
    (a, b) => a.used - b.used || depth(b) - depth(a) || (a.id < b.id ? -1 : 1),
  );
}

function childrenOf(items: readonly Item[]): Map<string, string[]> {
  const children = new Map<string, string[]>();
  for (const item of items) {
    for (const parent of item.parents) {
      const known = children.get(parent);
      if (known) known.push(item.id);
      else children.set(parent, [item.id]);
    }
  }
  return children;
}
