import type { Engine } from '../builder/engine.ts';
import { prune } from '../cache/gc/collect.ts';
import type { Item } from '../cache/gc/item.ts';
import { totalSize } from '../cache/gc/plan.ts';
import { NO_LIMITS } from '../cache/gc/policy.ts';

/**
 * Removes the images `nameless`, which are stored by the digests that are given, and all data that
 * no image uses any more. Layers that are build cache stay, as 'kiln prune' removes those. Returns
 * how many bytes were freed.
 */
export async function freeUnused(
  engine: Engine,
  nameless: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<number> {
  const images = {
    name: '',
    filter: ({ content }: Item) => content.image !== undefined && nameless.has(content.image),
    keepMs: 0,
    all: false,
    ...NO_LIMITS,
  };
  const removed = nameless.size > 0 ? await prune(engine, [images], signal) : [];
  // An image that a process is using keeps its data, and only its entry is removed.
  for (const name of nameless) engine.images.remove(name);
  const victims = [...removed, ...(await prune(engine, [], signal))];
  return totalSize(victims.map(({ item }) => item));
}
