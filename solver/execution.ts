import { breathe } from '../base/breath.ts';
import { downloaded, type MaybeDeferred } from './deferred.ts';
import { createExplaining } from './explain/explaining.ts';
import { createLimits } from './limits.ts';
import { loadRecord } from './loading.ts';
import type { Reporter } from './reporter.ts';
import type { AskedElsewhere, CacheMap, InputKey, RunContext, SolverOptions } from './solver.ts';
import { type Content, type Identity, type Node, resultAt } from './state.ts';

/**
 * The slow work of a solver: computing cache maps, reading inputs, running ops. Each promise
 * settles only when the work has really ended, also after an abort. All reject with the error of
 * the op.
 */
export interface Execution<R> {
  /** The cache map of the node's op: its key parts, and how it reads each input. */
  map(node: Node<R>, signal: AbortSignal): Promise<CacheMap<R>>;
  /** The content digest of what the op reads of input `index`, which must be done. */
  digest(node: Node<R>, index: number, read: ByContent<R>, signal: AbortSignal): Promise<Content>;
  /** The results of the node, by running its op. All its inputs must be done. */
  run(node: Node<R>, identity: Identity, signal: AbortSignal): Promise<Run<R>>;
  /** The results of the node, made by another machine. Undefined when none can make them. */
  away(
    node: Node<R>,
    identity: Identity,
    signal: AbortSignal,
    there: Pick<AskedElsewhere<R>, 'known' | 'contents' | 'keyOf'>,
  ): Promise<Run<R> | undefined>;
}

export type ByContent<R> = InputKey<R> & { readonly by: 'content' };

/** The results of a node, and whether its op ran or another solver's record was loaded. */
export interface Run<R> {
  readonly results: readonly MaybeDeferred<R>[];
  readonly how: 'ran' | 'cached';
}

export function createExecution<R>(options: SolverOptions<R>, reporter: Reporter<R>): Execution<R> {
  const { cache, codec, progress, session } = options;
  const explain = createExplaining<R>(options);
  const limits = createLimits(options.limits);
  /** How the ops are prepared that read a node. */
  const consumers = new WeakMap<Node<R>, (() => void)[]>();

  /** Remembers that the op of `node` is to be prepared when one of its inputs is made. */
  function expectInputs({ vertex, inputs }: Node<R>): void {
    const { op } = vertex;
    if (!op.prepare) return;
    const prepare = () => op.prepare?.();
    for (const input of inputs) {
      const known = consumers.get(input);
      if (known) known.push(prepare);
      else consumers.set(input, [prepare]);
    }
  }

  /**
   * Runs `task` and reports its failure at the node's vertex: it never gets as far as running the
   * op.
   */
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

  /** The result of input `index` of the node, downloaded first if it is deferred. */
  async function downloadInput(node: Node<R>, index: number, signal: AbortSignal): Promise<R> {
    const edge = node.vertex.inputs[index]!;
    const held = resultAt(node.inputs[index]!, edge.output);
    return await downloaded(held, { signal, progress, vertex: edge.vertex.digest });
  }

  /** Runs the op once the limit of its resource allows it, and saves its record. */
  async function execute(
    node: Node<R>,
    identity: Identity,
    signal: AbortSignal,
  ): Promise<readonly R[]> {
    const { vertex } = node;
    vertex.op.prepare?.();
    for (const prepare of consumers.get(node) ?? []) prepare();
    // An op without resource and key makes nothing: it hands a directory on.
    if (vertex.op.resource !== 'none' || identity.key) await options.mayRun?.();
    // Inputs are downloaded before the op takes a place, so that other ops can run meanwhile.
    const inputs = await Promise.all(
      node.inputs.map((_, index) => downloadInput(node, index, signal)),
    );
    return await limits.run(vertex.op.resource, signal, async () => {
      await breathe();
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
        const results = await vertex.op.run(inputs, context).finally(() => explained.report());
        // The record is saved even if the build is being cancelled: finished work is not lost.
        if (identity.key) save(node, identity, results, performance.now() - clock);
        explained.rememberContent();
        reporter.completed(vertex, started, usage);
        return results;
      } catch (error) {
        reporter.failed(vertex, started, error, signal.aborted, usage);
        throw error;
      }
    });
  }

  /** Asks another machine, which tells the progress of the vertex, and saves the record. */
  async function goAway(
    node: Node<R>,
    identity: Identity,
    signal: AbortSignal,
    there: Pick<AskedElsewhere<R>, 'known' | 'contents' | 'keyOf'>,
  ): Promise<Run<R> | undefined> {
    const { vertex } = node;
    await options.mayRun?.();
    const clock = performance.now();
    const explained = explain(node, identity);
    const asked = { vertex, key: identity.key!, signal, progress, ...there };
    let results: readonly R[] | undefined;
    try {
      results = await options.elsewhere!.solve(asked);
    } catch (error) {
      explained.report();
      node.reported = true;
      throw error;
    }
    if (!results) return undefined;
    explained.report();
    node.reported = true;
    save(node, identity, results, performance.now() - clock);
    explained.rememberContent();
    return { results, how: 'ran' };
  }

  /**
   * Calls `body` in turn with other solvers and processes that run the same key, unless one of them
   * has saved the record meanwhile.
   */
  async function alone<T>(
    node: Node<R>,
    { key, fresh }: Identity,
    signal: AbortSignal,
    body: () => Promise<Run<R> | T>,
  ): Promise<Run<R> | T> {
    if (!options.alone || !key || fresh) return await body();
    return await options.alone(key, signal, async () => {
      const results = loadRecord(options, key, node);
      return results ? { results, how: 'cached' } : await body();
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
        expectInputs(node);
        const started = () => reporter.started(vertex, Date.now());
        return vertex.op.cacheMap(signal, { progress, session, vertex: vertex.digest, started });
      }),
    async digest(node, index, read, signal) {
      const input = await downloadInput(node, index, signal);
      const {
        digest,
        parts = [],
        index: contentIndex,
      } = await reported(node, () => read.digest(input, signal));
      return { digest, parts, index: contentIndex };
    },
    /**
     * Takes turns with other solvers and processes that run the same key (`SolverOptions.alone`).
     * If one of them has saved the record meanwhile, it is loaded and the op does not run.
     */
    async run(node, identity, signal) {
      const run = async (): Promise<Run<R>> => ({
        results: await execute(node, identity, signal),
        how: 'ran',
      });
      return await alone(node, identity, signal, run);
    },
    async away(node, identity, signal, there) {
      return await alone(node, identity, signal, () => goAway(node, identity, signal, there));
    },
  };
}
