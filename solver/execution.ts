import { Deferred, type Held } from './deferred.ts';
import { createExplaining } from './explain/explaining.ts';
import { createLimits } from './limits.ts';
import { loadRecord } from './loading.ts';
import type { Reporter } from './reporter.ts';
import type { CacheMap, InputKey, RunContext, SolverOptions } from './solver.ts';
import type { Content, Identity, Node } from './state.ts';

/**
 * What takes time: asking ops, reading inputs, running. Each promise settles when that is really
 * over.
 */
export interface Execution<R> {
  /** How the op of the node reads its inputs. */
  map(node: Node<R>, signal: AbortSignal): Promise<CacheMap<R>>;
  /** What is read of an input. */
  digest(node: Node<R>, index: number, read: ByContent<R>, signal: AbortSignal): Promise<Content>;
  /** The results of the node, whose inputs are done. */
  run(node: Node<R>, identity: Identity, signal: AbortSignal): Promise<Run<R>>;
}

export type ByContent<R> = InputKey<R> & { readonly by: 'content' };

export interface Run<R> {
  readonly results: readonly Held<R>[];
  readonly how: 'ran' | 'cached';
}

export function createExecution<R>(options: SolverOptions<R>, reporter: Reporter<R>): Execution<R> {
  const { cache, codec, progress, session } = options;
  const explain = createExplaining<R>(options);
  const limits = createLimits(options.limits);

  /** A failure before the op runs is shown at its vertex too. */
  async function reported<T>(node: Node<R>, task: () => Promise<T>): Promise<T> {
    const started = Date.now();
    try {
      return await task();
    } catch (error) {
      node.reported = true;
      reporter.failed(node.vertex, started, error, node.abort.signal.aborted);
      throw error;
    }
  }

  /** What input `index` of the node came to, brought here when it is elsewhere. */
  async function bringInput(node: Node<R>, index: number, signal: AbortSignal): Promise<R> {
    const edge = node.vertex.inputs[index]!;
    const held = outputOf(node.inputs[index]!, edge.output);
    if (!(held instanceof Deferred)) return held;
    return await held.bring({ signal, progress, vertex: edge.vertex.digest });
  }

  /** Runs the op where there is a place for it, and saves its record. */
  async function execute(
    node: Node<R>,
    identity: Identity,
    signal: AbortSignal,
  ): Promise<readonly R[]> {
    const { vertex } = node;
    // Before a place is taken: others can run while bytes are on their way.
    const inputs = await Promise.all(
      node.inputs.map((_, index) => bringInput(node, index, signal)),
    );
    return await limits.run(vertex.op.resource, signal, async () => {
      const started = Date.now();
      const clock = performance.now();
      let usage: Parameters<NonNullable<RunContext['usage']>>[0] | undefined;
      reporter.started(vertex, started);
      node.reported = true;
      const explained = explain(node, identity);
      try {
        const context: RunContext = {
          signal,
          progress,
          session,
          vertex: vertex.digest,
          usage: (value) => (usage = value),
        };
        const results = await vertex.op.run(inputs, context).finally(() => explained.tell());
        // Also when the build is being cancelled: what is finished stays finished.
        if (identity.key) save(node, identity, results, performance.now() - clock);
        explained.keep();
        reporter.completed(vertex, started, usage);
        return results;
      } catch (error) {
        reporter.failed(vertex, started, error, signal.aborted, usage);
        throw error;
      }
    });
  }

  function save(
    node: Node<R>,
    identity: Identity,
    results: readonly R[],
    durationMs: number,
  ): void {
    const key = identity.key!;
    for (const link of identity.links) cache.link(link, key);
    cache.save({
      key,
      outputs: results.map((result) => codec.encode(result)),
      parts: identity.parts,
      description: node.vertex.name,
      created: Date.now(),
      durationMs,
    });
  }

  return {
    map: (node, signal) =>
      reported(node, () => {
        const { vertex } = node;
        const started = () => reporter.started(vertex, Date.now());
        return vertex.op.cacheMap(signal, { progress, session, vertex: vertex.digest, started });
      }),
    async digest(node, index, read, signal) {
      const input = await bringInput(node, index, signal);
      const {
        digest,
        parts = [],
        index: contentIndex,
      } = await reported(node, () => read.digest(input, signal));
      return { digest, parts, index: contentIndex };
    },
    /**
     * Unless another process, or another solver of this one, runs the same key: then its record is
     * waited for.
     */
    async run(node, identity, signal) {
      const { key, fresh } = identity;
      const run = async (): Promise<Run<R>> => ({
        results: await execute(node, identity, signal),
        how: 'ran',
      });
      if (!options.alone || !key || fresh) return await run();
      return await options.alone(key, signal, async () => {
        const results = loadRecord(options, key, node);
        return results ? { results, how: 'cached' } : await run();
      });
    },
  };
}

function outputOf<R>(node: Node<R>, output: number): Held<R> {
  if (node.state.kind !== 'done') throw new TypeError(`${node.vertex.name} is not done`);
  const result = node.state.results[output];
  if (result === undefined) throw new RangeError(`${node.vertex.name} has no output ${output}`);
  return result;
}
