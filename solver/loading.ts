import type { Digest } from '../base/digest.ts';
import type { CacheRecord } from '../cache/cache.ts';
import { Deferred, type DownloadContext, LostResult, type MaybeDeferred } from './deferred.ts';
import { vertexId } from './graph.ts';
import type { SolverOptions } from './solver.ts';
import { identityOf, type Node } from './state.ts';

/**
 * The results of the first record of `key` that can be used. The store's own record comes first,
 * then those of imported caches. Undefined when there is none.
 */
export function loadRecord<R>(
  options: SolverOptions<R>,
  key: Digest,
  node: Node<R>,
): readonly MaybeDeferred<R>[] | undefined {
  const { cache, codec } = options;
  const outputs = outputsWanted(node);
  const own = cache.load(key);
  const usable = own && decodeRecord(codec, own, outputs);
  if (usable) return usable;
  for (const record of cache.imported?.load(key) ?? []) {
    const results = decodeRecord(codec, record, outputs);
    if (!results) continue;
    return results.map((held, index) =>
      held instanceof Deferred ? savingDeferred(options, node, record, results, index) : held,
    );
  }
  return undefined;
}

/** How many results a record must have to serve all readers of `node`. */
function outputsWanted<R>(node: Node<R>): number {
  let outputs = 1;
  for (const reader of node.observers) {
    for (const edge of reader.vertex.inputs)
      if (vertexId(edge.vertex) === node.id) outputs = Math.max(outputs, edge.output + 1);
  }
  return outputs;
}

function decodeRecord<R>(
  codec: SolverOptions<R>['codec'],
  record: CacheRecord,
  outputs: number,
): readonly MaybeDeferred<R>[] | undefined {
  if (record.outputs.length < outputs) return undefined;
  const results: MaybeDeferred<R>[] = [];
  for (const value of record.outputs) {
    const result = codec.decode(value);
    if (result === undefined) return undefined;
    results.push(result);
  }
  return results;
}

/**
 * The deferred result `index` of an imported record. When the last result of the record has been
 * downloaded, the record is saved in the store. If one cannot be downloaded, the imported record is
 * dropped and LostResult is thrown.
 */
function savingDeferred<R>(
  { cache, codec }: SolverOptions<R>,
  node: Node<R>,
  record: CacheRecord,
  results: readonly MaybeDeferred<R>[],
  index: number,
): Deferred<R> {
  const deferred = results[index] as Deferred<R>;
  return new Deferred(async (context: DownloadContext) => {
    try {
      const result = await deferred.download(context);
      const here = results.map((held) => (held instanceof Deferred ? held.downloaded : held));
      if (here.every((one) => one !== undefined)) {
        const identity = identityOf(node.state);
        const parts = identity?.parts ?? [];
        for (const alias of identity?.aliases?.() ?? []) cache.link(alias, record.key);
        cache.save({
          ...record,
          parts,
          description: node.vertex.name,
          outputs: here.map((one) => codec.encode(one)),
        });
      }
      return result;
    } catch (cause) {
      if (context.signal.aborted) throw cause;
      cache.imported?.drop(record);
      throw new LostResult(node.vertex.name, cause);
    }
  }, deferred.about);
}
