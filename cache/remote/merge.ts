import type { RemoteRecord } from './record.ts';

/**
 * The records to write over an `old` cache of the same name: the `fresh` ones, and the old ones of
 * platforms that were not built now. After a failed build (`keep`) all old records stay, because a
 * step that did not run again is not out of date.
 */
export function mergeRecords(
  old: readonly RemoteRecord[],
  fresh: readonly RemoteRecord[],
  built: readonly string[],
  keep: boolean,
): RemoteRecord[] {
  const merged = new Map(fresh.map((record) => [record.key, record]));
  for (const record of old) {
    const platforms = keep
      ? record.platforms
      : record.platforms.filter((name) => !built.includes(name));
    if (platforms.length === 0) continue;
    const now = merged.get(record.key);
    merged.set(
      record.key,
      now ? joined(now, record, platforms) : { ...record, outputs: record.outputs, platforms },
    );
  }
  return [...merged.values()];
}

/**
 * Joins two records of one key: the result is that of the new one, and the aliases of both lead to
 * it.
 */
function joined(now: RemoteRecord, old: RemoteRecord, platforms: readonly string[]): RemoteRecord {
  return {
    ...now,
    outputs: now.outputs.length > 0 ? now.outputs : old.outputs,
    created: now.outputs.length > 0 ? now.created : old.created,
    aliases: [...new Set([...now.aliases, ...old.aliases])],
    platforms: [...new Set([...now.platforms, ...platforms])],
  };
}
