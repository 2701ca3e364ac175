import type { Digest } from '../base/digest.ts';
import type { ProgressSink, VertexEvent } from '../base/progress.ts';
import type { CacheStore, KeyPart } from '../cache/cache.ts';
import type { MissMemory } from '../cache/explain/memory.ts';
import type { Deferred, MaybeDeferred } from './deferred.ts';

/**
 * # The solver: from an edge to its result
 *
 * The core does not know containers, files or LLB. A vertex is a digest, input edges and an `Op`; a
 * result is a value of type `R`.
 *
 * The solver finds two things for an edge, each once, and shares them with all that need them:
 * `key(edge)`, the identity of the result, and `result(edge)`, the result itself. To find a key it
 * runs no op if a definition key makes that unnecessary. To find a result it loads the record of
 * the key; if there is none, it runs the op.
 *
 *     definition key  = H(op key, key of every input)      -- no file is read
 *     key             = definition key                     -- when no input is read by content
 *                     = H(op key, content digest or key of every input)
 *                                                          -- else, and the definition key is
 *                                                             linked to it for the next time
 *
 * A link counts only if the record that it leads to can be used. Otherwise the inputs are read
 * again, since they may hold other bytes by now.
 *
 * With each record that has a content key the solver keeps *sightings*: the fact that this op was
 * seen reading an input with this key. If a sighting is missing, no record can match. Everything
 * that the op reads is then started at once instead of one after the other.
 *
 * `ignoreCache` (`--no-cache`) affects more than its own vertex. A vertex that reads the fresh
 * result by definition is executed too. One that reads it by content is not executed if the bytes
 * are the same.
 *
 * A volatile result (a local directory) is valid only in this build and has no key. The ops that
 * read it must read it by content.
 */
export interface Solver<R> {
  /**
   * Returns the result of each edge, in order. Runs as much at the same time as the limits allow.
   * Rejects with the first failure (a VertexError), or with CancelledError when the signal aborts,
   * but not before all work that only this call needed has ended.
   */
  solve(edges: readonly Edge<R>[], signal: AbortSignal): Promise<readonly R[]>;
  /** As `solve`, but does not download deferred results. */
  find(edges: readonly Edge<R>[], signal: AbortSignal): Promise<readonly MaybeDeferred<R>[]>;
}

/** One output of a vertex. */
export interface Edge<R> {
  readonly vertex: Vertex<R>;
  readonly output: number;
}

export interface Vertex<R> {
  /**
   * The digest of the op's serialised form. It names the vertex in progress events and in the
   * graph.
   */
  readonly digest: Digest;
  /** The name shown to the user, such as `[build 2/3] RUN make`. */
  readonly name: string;
  readonly inputs: readonly Edge<R>[];
  readonly op: Op<R>;
  /** `--no-cache`: no record is looked for, but the new one is saved. */
  readonly ignoreCache: boolean;
  /** What its maker made it of. The solver does not look into it. */
  readonly origin?: unknown;
}

/** What a vertex does. One file per kind under ops/. */
export interface Op<R> {
  /**
   * Returns what identifies the op and how it reads its inputs. May use the network (to resolve a
   * tag to a digest). Never runs anything.
   */
  cacheMap(signal: AbortSignal, report?: MapReport): Promise<CacheMap<R>>;
  /** Runs the op and returns one result per output. Called at most once per key and solver. */
  run(inputs: readonly R[], context: RunContext): Promise<readonly R[]>;
  /**
   * Begins what every run of the op needs, whatever its inputs are. Called when the op, or one that
   * makes an input of it, is about to run; the op itself may then be found in the cache.
   */
  prepare?(): void;
  /** Which limit this op counts against. */
  readonly resource: 'process' | 'network' | 'cpu' | 'none';
}

/**
 * Lets an op report progress while its key is computed. Some sources have to be fetched before
 * their key is known.
 */
export interface MapReport {
  readonly progress: ProgressSink;
  readonly vertex: Digest;
  /** Reports the vertex as started. */
  readonly started: () => void;
  /** `SolverOptions.session` of the build that needs the key. */
  readonly session?: unknown;
}

/** What the key of a vertex is made of, as its op describes it. */
export interface CacheMap<R> {
  /**
   * What identifies the op, in named parts. The user sees the names when a cache miss is explained.
   */
  readonly parts: readonly KeyPart[];
  /** How each input is read, in the order of the inputs. */
  readonly inputs: readonly InputKey<R>[];
  /**
   * True for a result that is valid only in this build (a local directory): no record is saved or
   * looked for.
   */
  readonly volatile: boolean;
}

export type InputKey<R> =
  /** The input is represented by its key: the root file system of a RUN. */
  | { readonly by: 'definition'; readonly selector?: string }
  /**
   * The input is represented by a digest of the bytes that the op reads. `selector` describes which
   * part is read: two selections with equal digests get different keys.
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
         * The content index of what was read (cache/explain/contentindex.ts), to explain a later
         * miss. Called only if the op runs.
         */
        readonly index?: () => Buffer;
      }>;
    };

/** What the solver passes to an op that runs. */
export interface RunContext {
  readonly signal: AbortSignal;
  /** Receives the output of the op and the progress of its parts. */
  readonly progress: ProgressSink;
  readonly vertex: Digest;
  /** Reports the resources that the op used, for the event of its completion. */
  readonly usage?: (usage: NonNullable<VertexEvent['usage']>) => void;
  /** `SolverOptions.session` of the build that runs the op. */
  readonly session?: unknown;
}

/** How results are written to records and read back. */
export interface ResultCodec<R> {
  /** Plain data for the record. */
  encode(result: R): unknown;
  /**
   * The result of a recorded value. Undefined if it cannot be used any more (its layers are gone).
   * Deferred if its bytes have not been downloaded.
   */
  decode(value: unknown): R | Deferred<R> | undefined;
}

/** A vertex with its key, as an export of the cache needs it. */
export interface KeyedVertex<R> {
  readonly vertex: Vertex<R>;
  readonly key: Digest;
  /** The links to the record of this key: the definition key and the sightings. */
  readonly aliases: readonly Digest[];
  /** The digest of what was read of each input by content, by the number of the input. */
  readonly contents: ReadonlyMap<number, Digest>;
}

export interface SolverOptions<R> {
  readonly cache: CacheStore;
  readonly codec: ResultCodec<R>;
  readonly progress: ProgressSink;
  /**
   * Earlier records, with which the misses of this build are explained. Without it no `miss` events
   * are sent.
   */
  readonly memory?: MissMemory | undefined;
  /** How many ops of each resource run at the same time. */
  readonly limits: { readonly process: number; readonly network: number; readonly cpu: number };
  /**
   * What the caller of this build lends to its ops. It is passed on with each `cacheMap` and `run`,
   * and the solver does not look into it. An op must not keep it, because another build may use the
   * same op. For ops over LLB it is a `StepSession` (step-session.ts).
   */
  readonly session?: unknown;
  /**
   * Runs `body` while no other solver on the same cache, in this or another process, runs one for
   * the same key. Without it two processes may run the same step at the same time.
   */
  readonly alone?: <T>(key: Digest, signal: AbortSignal, body: () => Promise<T>) => Promise<T>;
  /**
   * Called before an op runs, and waited for. The op does not run when it rejects. Looking for
   * records does not wait for it, and neither does an op without resource and key, such as that of
   * a local directory.
   */
  readonly mayRun?: (() => Promise<void>) | undefined;
  /** Other machines, which are asked for the results of some vertices. */
  readonly elsewhere?: Elsewhere<R> | undefined;
  /**
   * Called at the end of each solve, whether or not it succeeded, with the vertices whose keys are
   * known.
   */
  readonly onKeyed?: ((vertices: readonly KeyedVertex<R>[]) => void) | undefined;
}

/**
 * # Where results come from that are not made here
 *
 * A vertex whose key is known and has no record is about to run. First the results of its inputs
 * would be brought here. A vertex that another machine shall run needs none of that here: so the
 * solver asks before it asks for inputs. Whoever answers takes a whole sub-graph: the vertex and
 * all below it that has no result yet.
 *
 * The results are saved under the key that the vertex has here, as if it had run here.
 */
export interface Elsewhere<R> {
  /** Says whether another machine may run this vertex. Called often, and starts nothing. */
  takes(vertex: Vertex<R>): boolean;
  /**
   * Has another machine make the results of `vertex`, one for each output. Undefined when none can:
   * the vertex runs here then. Rejects with the error of a step that failed there. Settles only
   * when nothing runs there any more, as far as the other machine can be reached.
   */
  solve(asked: AskedElsewhere<R>): Promise<readonly R[] | undefined>;
  /** Says whether events have told already how the vertex ended. */
  hasTold(vertex: Digest): boolean;
}

/** A vertex that is asked for elsewhere. */
export interface AskedElsewhere<R> {
  readonly vertex: Vertex<R>;
  readonly key: Digest;
  readonly signal: AbortSignal;
  readonly progress: ProgressSink;
  /** A result that is there, or in a record. Undefined when it would have to be made. */
  readonly known: (edge: Edge<R>) => MaybeDeferred<R> | undefined;
  /**
   * The digest of what a vertex reads of each input by content, as it is in its key. Without the
   * inputs that are not read yet.
   */
  readonly contents: (vertex: Vertex<R>) => ReadonlyMap<number, Digest>;
  /** The key of a vertex. Undefined when it has none, or none yet. */
  readonly keyOf: (vertex: Vertex<R>) => Digest | undefined;
}
