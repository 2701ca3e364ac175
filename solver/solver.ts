import type { Digest } from '../base/digest.ts';
import type { ProgressSink, VertexEvent } from '../base/progress.ts';
import type { CacheStore, KeyPart } from '../cache/cache.ts';
import type { MissMemory } from '../cache/explain/memory.ts';
import type { Deferred, Held } from './deferred.ts';

/**
 * # The solver: from an edge to its result
 *
 * The core knows nothing of containers, files or LLB: a vertex is a digest, input edges and an
 * `Op`; results are values of `R`.
 *
 * For an edge two questions are asked, each answered once per solver and shared by all who ask:
 * `key(edge)`, the identity of the result, and `result(edge)`, the result itself. Asking for a key
 * never runs an op that a definition key can spare; asking for a result loads the record of that
 * key or else runs the op.
 *
 *     definition key  = H(op key, key of every input)      -- no file is read
 *     key             = definition key                     -- when no input is read by content
 *                     = H(op key, content digest or key of every input)
 *                                                          -- else, and the definition key is
 *                                                             linked to it for the next time
 *
 * A link counts only together with its record: without it the inputs are read again, for they may
 * hold other bytes by now.
 *
 * Beside each record with a content key the solver keeps *sightings*: that this op was seen reading
 * an input of this key. Where a sighting is missing no record can match, and everything that the op
 * reads is started at once instead of one after the other.
 *
 * `ignoreCache` reaches further than its vertex: what counts the fresh result by definition is
 * executed too, what reads it by content is not when the bytes are the same.
 *
 * An input whose `volatile` key means nothing between builds (a local directory) has no definition
 * key; what reads it must read it by content.
 */
export interface Solver<R> {
  /**
   * Solves the edges, as concurrently as the limits allow. Rejects with the first failure once
   * nothing useful is left running.
   */
  solve(edges: readonly Edge<R>[], signal: AbortSignal): Promise<readonly R[]>;
  /** As `solve`, but a result whose bytes are elsewhere is left there. */
  find(edges: readonly Edge<R>[], signal: AbortSignal): Promise<readonly Held<R>[]>;
}

/** One output of a vertex. */
export interface Edge<R> {
  readonly vertex: Vertex<R>;
  readonly output: number;
}

export interface Vertex<R> {
  /** The digest of the op's serialised form: the vertex's name in progress and in the graph. */
  readonly digest: Digest;
  /** Shown to the user: `[build 2/3] RUN make`. */
  readonly name: string;
  readonly inputs: readonly Edge<R>[];
  readonly op: Op<R>;
  /** `--no-cache`: do not look for a record, but save one. */
  readonly ignoreCache: boolean;
}

/** What a vertex does. One file per kind under ops/. */
export interface Op<R> {
  /**
   * What identifies the op itself and how it reads its inputs. May ask the network (a tag to a
   * digest), never runs anything.
   */
  cacheMap(signal: AbortSignal, report?: MapReport): Promise<CacheMap<R>>;
  /** Runs the op. One result per output. Called at most once per key and solver. */
  run(inputs: readonly R[], context: RunContext): Promise<readonly R[]>;
  /** Which limit this op counts against. */
  readonly resource: 'process' | 'network' | 'cpu' | 'none';
}

/**
 * How an op tells of what it does already for its key: a source that has to be fetched before it is
 * known.
 */
export interface MapReport {
  readonly progress: ProgressSink;
  readonly vertex: Digest;
  /** Shows the vertex as one that has begun. */
  readonly started: () => void;
  /** `SolverOptions.session` of the build that asks. */
  readonly session?: unknown;
}

export interface CacheMap<R> {
  /** What goes into the key for the op itself, each part with a name the user understands. */
  readonly parts: readonly KeyPart[];
  /** One per input. */
  readonly inputs: readonly InputKey<R>[];
  /**
   * True for a result that means nothing in another build (a local directory): no record is saved
   * or looked for.
   */
  readonly volatile: boolean;
}

export type InputKey<R> =
  /** The input counts by its own key: a rootfs. */
  | { readonly by: 'definition'; readonly selector?: string }
  /**
   * The input counts by the bytes that will be read. `selector` names the selection, so that two
   * selections do not meet.
   */
  | {
      readonly by: 'content';
      readonly selector: string;
      readonly digest: (
        input: R,
        signal: AbortSignal,
      ) => Promise<{
        readonly digest: Digest;
        readonly parts?: readonly KeyPart[];
        /**
         * What was read, for explaining a later miss; made only when the op runs. See
         * cache/explain/contentindex.ts.
         */
        readonly index?: () => Buffer;
      }>;
    };

export interface RunContext {
  readonly signal: AbortSignal;
  /** Output and sub-progress of this vertex. */
  readonly progress: ProgressSink;
  readonly vertex: Digest;
  /** Tells what the op cost, for the event of its completion. */
  readonly usage?: (usage: NonNullable<VertexEvent['usage']>) => void;
  /** `SolverOptions.session` of the build that runs the op. */
  readonly session?: unknown;
}

/** How results go into records and come back. */
export interface ResultCodec<R> {
  encode(result: R): unknown;
  /**
   * The result, or undefined when it cannot be used any more (its snapshot is gone), or deferred
   * when its bytes are elsewhere.
   */
  decode(value: unknown): R | Deferred<R> | undefined;
}

/** A vertex whose key is known, for those who export the cache. */
export interface KeyedVertex<R> {
  readonly vertex: Vertex<R>;
  readonly key: Digest;
  /** The links that lead to the record of this key: the definition key and the sightings. */
  readonly aliases: readonly Digest[];
}

export interface SolverOptions<R> {
  readonly cache: CacheStore;
  readonly codec: ResultCodec<R>;
  readonly progress: ProgressSink;
  /** Explains why what runs was not cached; nothing is explained without it. */
  readonly memory?: MissMemory | undefined;
  readonly limits: { readonly process: number; readonly network: number; readonly cpu: number };
  /**
   * What the caller of this build lends to its ops, passed on with each `cacheMap` and `run`. The
   * solver looks at none of it and ops must not keep it: the same ops may be asked by another
   * build. For ops over LLB it is a `StepSession` (step-session.ts).
   */
  readonly session?: unknown;
  /**
   * Runs `body` while nobody else, in any process on the same cache, runs one for the same key.
   * Without it steps of two processes may both run.
   */
  readonly alone?: <T>(key: Digest, signal: AbortSignal, body: () => Promise<T>) => Promise<T>;
  /** Told at the end of each solve, however it ended, which vertices have a key. */
  readonly onKeyed?: ((vertices: readonly KeyedVertex<R>[]) => void) | undefined;
}
