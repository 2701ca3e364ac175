import { type Collectable, diskOf, survey } from '../cache/gc/collect.ts';
import type { Item } from '../cache/gc/item.ts';
import { plan, totalSize, type Victim } from '../cache/gc/plan.ts';
import { NO_LIMITS, type PrunePolicy } from '../cache/gc/policy.ts';
import type { BuildView, StepView } from './build-view.ts';
import type {
  CacheReport,
  PrunePreview,
  StepMisses,
  StoreItem,
  StoreReport,
} from './cache-report.ts';
import { stepDuration } from './compare-builds.ts';
import { instructionOf, stageOf } from './step-names.ts';

export interface CacheReportOptions {
  /** The policies of collections after builds. Without any, nothing is removed by itself. */
  readonly policies: readonly PrunePolicy[];
  /** The most steps and items in each list; 100 by default. */
  readonly limit?: number;
  readonly now?: number;
}

/** What `kiln prune` removes when no flag says otherwise. */
const COMMAND: PrunePolicy = {
  name: '',
  filter: () => true,
  keepMs: 0,
  all: false,
  ...NO_LIMITS,
};

/**
 * Says how well the cache served the `builds`, and what the store holds. The store is surveyed as
 * for `kiln du`, which takes as long as it takes to read the sizes of all layers.
 */
export function cacheReport(
  engine: Collectable,
  builds: readonly BuildView[],
  { policies, limit = 100, now = Date.now() }: CacheReportOptions,
): CacheReport {
  const steps = builds.flatMap(({ steps: all }) => all.filter(isShown));
  const first = builds.reduce<number | undefined>(
    (least, { started }) => (least === undefined || started < least ? started : least),
    undefined,
  );
  return {
    version: 1,
    builds: builds.length,
    ...(first !== undefined && { since: first }),
    steps: steps.length,
    cached: steps.filter(({ state }) => state === 'cached').length,
    misses: stepMisses(builds).slice(0, limit),
    store: storeReport(engine, policies, limit, now),
  };
}

/** Steps that ran or were cached. Bases are looked up in every build, and are no misses. */
function isShown({ isInternal, name, state }: StepView): boolean {
  const hasEnded = state === 'cached' || state === 'done' || state === 'failed';
  return !isInternal && hasEnded && !/^FROM /i.test(instructionOf(name));
}

/** Steps that were not cached at least once, those that cost most first. */
export function stepMisses(builds: readonly BuildView[]): StepMisses[] {
  const latest = builds.toSorted((a, b) => b.started - a.started);
  const groups = new Map<string, { view: BuildView; step: StepView }[]>();
  for (const view of latest)
    for (const step of view.steps.filter(isShown)) {
      const key = [view.name, stageOf(step.name), instructionOf(step.name)].join('\0');
      const known = groups.get(key);
      if (known) known.push({ view, step });
      else groups.set(key, [{ view, step }]);
    }
  return [...groups.values()]
    .filter((group) => group.some(({ step }) => step.state !== 'cached'))
    .map(missesOf)
    .sort((a, b) => b.cost - a.cost || b.missed - a.missed);
}

function missesOf(group: readonly { view: BuildView; step: StepView }[]): StepMisses {
  const { view, step } = group[0]!;
  const missed = group.filter((one) => one.step.state !== 'cached');
  const reasons = new Map<string, number>();
  for (const { step: one } of missed)
    if (one.miss !== undefined) reasons.set(one.miss, (reasons.get(one.miss) ?? 0) + 1);
  const file = step.lines && view.sources[step.lines.source]?.name;
  return {
    name: step.name,
    build: view.name,
    ...(step.lines &&
      file !== undefined && { lines: { file, start: step.lines.start, end: step.lines.end } }),
    seen: group.length,
    missed: missed.length,
    cost: missed.reduce((sum, one) => sum + stepDuration(one.step), 0),
    wouldSave: missed.reduce((sum, one) => sum + one.step.wouldSave, 0),
    reasons: [...reasons]
      .map(([text, count]) => ({ text, count }))
      .sort((a, b) => b.count - a.count),
    missedIn: missed.map((one) => one.view.id),
  };
}

function storeReport(
  engine: Collectable,
  policies: readonly PrunePolicy[],
  limit: number,
  now: number,
): StoreReport {
  const items = survey(engine, now);
  const disk = diskOf(engine.store.root);
  const types = Map.groupBy(items, ({ type }) => type);
  return {
    bytes: totalSize(items),
    reclaimable: totalSize(items.filter(isReclaimable)),
    shared: totalSize(items.filter(({ shared }) => shared)),
    types: [...types]
      .map(([type, all]) => ({ type, items: all.length, bytes: totalSize(all) }))
      .sort((a, b) => b.bytes - a.bytes),
    largest: items
      .toSorted((a, b) => b.size - a.size)
      .slice(0, limit)
      .map(storeItem),
    items: items.length,
    prunes: {
      automatic: preview(plan(items, policies, disk, now), limit),
      command: preview(plan(items, [COMMAND], disk, now), limit),
    },
  };
}

function preview(victims: readonly Victim[], limit: number): PrunePreview {
  return {
    bytes: totalSize(victims.map(({ item }) => item)),
    items: victims.length,
    largest: victims
      .toSorted((a, b) => b.item.size - a.item.size)
      .slice(0, limit)
      .map(({ item, reason }) => ({ ...storeItem(item), reason })),
  };
}

function storeItem(item: Item): StoreItem {
  return {
    id: item.id,
    type: item.type,
    description: item.description,
    bytes: item.size,
    created: item.created,
    used: item.used,
    isReclaimable: isReclaimable(item),
    isInUse: item.inUse,
    isShared: item.shared,
  };
}

function isReclaimable({ inUse, shared, fixed }: Item): boolean {
  return !inUse && !shared && !fixed;
}
