import type { MessageInitShape } from '@bufbuild/protobuf';

import type { Engine } from '../../builder/engine.ts';
import { prune, survey } from '../../cache/gc/collect.ts';
import { parseFilters } from '../../cache/gc/filter.ts';
import type { Item } from '../../cache/gc/item.ts';
import { isBuildCache, OLD_LOGS } from '../../cache/gc/others.ts';
import type { DiskUsageRequest, PruneRequest, UsageRecordSchema } from '../proto/control.gen.ts';
import { instant } from './instant.ts';

type UsageRecord = MessageInitShape<typeof UsageRecordSchema>;

const NS_PER_MS = 1_000_000n;

/**
 * What takes space in the store and can be pruned. What a named image needs is no cache of the
 * client: it goes with the image. The history has commands of its own. Throws KILN_FILTER_INVALID.
 */
export function usageRecords(
  engine: Engine,
  { filter, ageLimit }: Pick<DiskUsageRequest, 'filter' | 'ageLimit'>,
): UsageRecord[] {
  const matches = parseFilters(filter);
  const before = Date.now() - Number(ageLimit / NS_PER_MS);
  return survey(engine)
    .filter(isBuildCache)
    .filter((item) => matches(item) && (ageLimit === 0n || item.used <= before))
    .map(recordOf);
}

/**
 * Removes what the request says, and answers what is gone. The history stays. Throws
 * KILN_FILTER_INVALID.
 */
export async function pruned(
  engine: Engine,
  request: PruneRequest,
  signal: AbortSignal,
): Promise<UsageRecord[]> {
  using _use = engine.begin();
  const matches = parseFilters(request.filter);
  const policy = {
    name: '',
    filter: (item: Item) => item.id !== OLD_LOGS && matches(item),
    all: request.all,
    keepMs: Number(request.keepDuration / NS_PER_MS),
    reserved: Number(request.reservedSpace),
    maxUsed: Number(request.maxUsedSpace),
    minFree: Number(request.minFreeSpace),
  };
  return (await prune(engine, [policy], signal)).map(({ item }) => recordOf(item));
}

function recordOf(item: Item): UsageRecord {
  return {
    id: item.id,
    mutable: item.mutable,
    inUse: item.inUse,
    size: BigInt(Math.floor(item.size)),
    createdAt: instant(item.created),
    lastUsedAt: instant(item.used),
    usageCount: 1n,
    description: item.description,
    recordType: item.type,
    shared: item.shared,
    parents: [...item.parents],
  };
}
