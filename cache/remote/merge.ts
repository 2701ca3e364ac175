import type { RemoteRecord } from './record.ts';

/**
 * What is written over an `old` cache of the same name: the `fresh` records, and the old ones of platforms that were not built now. After
 * a build that failed (`keep`) all old ones stay, since what could not be built again is not out of date.
 */
export function mergeRecords(
  old: readonly RemoteRecord[],
  fresh: readonly RemoteRecord[],
  built: readonly string[],
  keep: boolean,
): RemoteRecord[] {
  const merged = new Map(fresh.map((record) => [record.key, record]));
  for (const record of old) {
    const platforms = keep ? record.platforms : record.platforms.filter((name) => !built.includes(name));
    if (platforms.length === 0) continue;
    const now = merged.get(record.key);
    merged.set(record.key, now ? joined(now, record, platforms) : { ...record, outputs: record.outputs, platforms });
  }
  return [...merged.values()];
}

/** One record of two: the result of the new one, found on every way. */
function joined(now: RemoteRecord, old: RemoteRecord, platforms: readonly string[]): RemoteRecord {
  return {
    ...now,
    outputs: now.outputs.length > 0 ? now.outputs : old.outputs,
    created: now.outputs.length > 0 ? now.created : old.created,
    aliases: [...new Set([...now.aliases, ...old.aliases])],
    platforms: [...new Set([...now.platforms, ...platforms])],
  };
}
