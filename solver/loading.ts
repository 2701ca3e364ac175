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
  const wanted = outputsWanted(node);
  const own = cache.load(key);
  const usable = own && decodeRecord(codec, own, wanted);
  if (usable) return usable;
  for (const record of cache.imported?.load(key) ?? []) {
    const results = decodeRecord(codec, record, wanted, missingOutput<R>);
    if (!results) continue;
    return results.map((held, index) =>
      held instanceof Deferred ? savingDeferred(options, node, record, results, index) : held,
    );
  }
  return undefined;
}

/** The outputs that a record must have to serve all who ask for results of `node`. */
function outputsWanted<R>(node: Node<R>): ReadonlySet<number> {
  const outputs = new Set(node.asked);
  for (const reader of node.observers) {
    for (const edge of reader.vertex.inputs)
      if (vertexId(edge.vertex) === node.id) outputs.add(edge.output);
  }
  return outputs;
}

/**
 * The results of a record. Undefined when one that is `wanted` is not there, or when one cannot be
 * used. `missing` stands for an output that an imported record does not have.
 */
function decodeRecord<R>(
  codec: SolverOptions<R>['codec'],
  { outputs }: CacheRecord,
  wanted: ReadonlySet<number>,
  missing?: () => Deferred<R>,
): readonly MaybeDeferred<R>[] | undefined {
  if (outputs.length === 0 || wanted.values().some((index) => index >= outputs.length))
    return undefined;
  const results: MaybeDeferred<R>[] = [];
  for (const [index, value] of outputs.entries()) {
    const isGap = missing !== undefined && value === undefined && !wanted.has(index);
    const result = isGap ? missing() : codec.decode(value);
    if (result === undefined) return undefined;
    results.push(result);
  }
  return results;
}

/** Nobody has asked for it. Who does later learns that it is lost, and then the step runs. */
function missingOutput<R>(): Deferred<R> {
  return new Deferred(() => Promise.reject(new Error('the cache does not have this output')));
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
