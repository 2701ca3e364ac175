import type { Digest } from '../base/digest.ts';
import type { KeyPart } from '../cache/cache.ts';
import type { MaybeDeferred } from './deferred.ts';
import type { VertexError } from './failure.ts';
import type { CacheMap, Vertex } from './solver.ts';

/**
 * The life of a vertex in one solver:
 *
 *     new → mapping → keying → keyed ─┬→ done                      a record was there
 *                       │             ├→ following → done          another vertex runs the same key
 *                       └→ done       ├→ collecting → running → done
 *                                     └→ away → done            another machine has made it
 *                                          └→ collecting        none could
 *
 * Every state but done may go to failed. `transition.ts` holds the moves.
 */
export type State<R> =
  /** Neither its key nor its result has been wanted yet. */
  | { readonly kind: 'new' }
  /** `op.cacheMap` is running. */
  | { readonly kind: 'mapping' }
  /** The key is being computed from the keys and contents of the inputs. */
  | { readonly kind: 'keying'; readonly keying: Keying<R> }
  /** The key is known; no result has been looked for. */
  | { readonly kind: 'keyed'; readonly identity: Identity }
  /** Another vertex with the same key executes it; this one takes its results. */
  | { readonly kind: 'following'; readonly identity: Identity; readonly leader: Node<R> }
  /** Another machine is asked for the results. */
  | { readonly kind: 'away'; readonly identity: Identity }
  /** There is no record. The results of all inputs are awaited. */
  | { readonly kind: 'collecting'; readonly identity: Identity }
  /** `op.run` is running, or waits until its limit allows it. */
  | { readonly kind: 'running'; readonly identity: Identity }
  | {
      readonly kind: 'done';
      readonly identity: Identity;
      readonly results: readonly MaybeDeferred<R>[];
      readonly how: 'ran' | 'cached' | 'shared';
    }
  | { readonly kind: 'failed'; readonly error: VertexError };

/** What is wanted of a vertex. A higher value includes the lower ones. */
export const WANT = { nothing: 0, key: 1, result: 2 } as const;
export type Want = (typeof WANT)[keyof typeof WANT];

/**
 * A vertex in one solver. Mutable; only the scheduler, its parts and the transition function write
 * it.
 */
export interface Node<R> {
  readonly id: string;
  readonly vertex: Vertex<R>;
  inputs: readonly Node<R>[];
  /**
   * The nodes that are notified when this node's state changes: those that read its result, and
   * those that follow its execution.
   */
  readonly observers: Set<Node<R>>;
  state: State<R>;
  want: Want;
  /** The outputs that solves ask for, beside those that other vertices read. */
  readonly asked: Set<number>;
  /** How many running solves have this vertex in their graph. */
  interest: number;
  /** True while the node is in the MoveQueue. */
  queued: boolean;
  /** Aborts the work in progress. It is replaced when the node is forgotten and may start again. */
  abort: AbortController;
  /** The work in progress. Each promise resolves when the work has really ended. */
  readonly flights: Set<Promise<void>>;
  /** True once progress has shown that this vertex ran, failed or was cached. */
  reported: boolean;
  /** The key whose leader this node is (leaders.ts). */
  leads: Digest | undefined;
}

/** The identity of a vertex, once it is known. */
export interface Identity {
  /** Undefined for a volatile result, which has no record. */
  readonly key: Digest | undefined;
  /**
   * True if the op runs in this build regardless of the cache: `ignoreCache`, of this vertex or of
   * one that it reads by definition, directly or through others.
   */
  readonly fresh: boolean;
  /**
   * The links to save with the record: the definition key, and the sightings that the cache does
   * not have yet.
   */
  readonly links: readonly Digest[];
  readonly parts: readonly KeyPart[];
  /** The digest of what was read of each input by content, by the number of the input. */
  readonly contents?: ReadonlyMap<number, Digest>;
  /** The content index of each input that was read by content, by the number of the input. */
  readonly indexes?: ReadonlyMap<number, () => Buffer>;
  /**
   * All links to the record, including those that the cache already has. Computed on call, because
   * only an export of the cache needs them.
   */
  readonly aliases?: () => readonly Digest[];
}

/**
 * Whether a record can still spare running a vertex whose key is being computed. The outlook only
 * gets worse. Each value includes those before it:
 *
 * - `open`: the definition key may lead to a record. Then no input is read.
 * - `byContent`: the definition key led to no record, or there is none. What the inputs hold
 *   decides.
 * - `hopeless`: no record can match. The op will run if its result is wanted, so its inputs can be
 *   started at once.
 * - `fresh`: the op runs regardless of the cache (`Identity.fresh`).
 * - `volatile`: the result is valid only in this build and has no key.
 */
export const OUTLOOK = { open: 0, byContent: 1, hopeless: 2, fresh: 3, volatile: 4 } as const;
export type Outlook = (typeof OUTLOOK)[keyof typeof OUTLOOK];

/**
 * What is known so far of a key that is being computed. Mutable: it belongs to the `keying` state
 * of one node.
 */
export interface Keying<R> {
  readonly map: CacheMap<R>;
  /** The op's key (`opKey`). */
  readonly op: Digest;
  /** True if the op reads any input by content. */
  readonly readsContent: boolean;
  outlook: Outlook;
  /**
   * Per input, whether the cache has a sighting of it. Undefined until the input's key is known.
   */
  readonly seen: (boolean | undefined)[];
  /** Per input that is read by content: its content once known. */
  readonly contents: (Content | 'under way' | undefined)[];
}

/** Makes the outlook at least as bad as `outlook`. */
export function worsenOutlook<R>(keying: Keying<R>, outlook: Outlook): void {
  if (outlook > keying.outlook) keying.outlook = outlook;
}

/** What an op reads of one input (see `InputKey`). */
export interface Content {
  readonly digest: Digest;
  readonly parts: readonly KeyPart[];
  readonly index?: (() => Buffer) | undefined;
}

/** The identity of a node in this state. Undefined if it is not known yet, or the node failed. */
export function identityOf<R>(state: State<R>): Identity | undefined {
  switch (state.kind) {
    case 'keyed':
    case 'following':
    case 'away':
    case 'collecting':
    case 'running':
    case 'done':
      return state.identity;
    case 'new':
    case 'mapping':
    case 'keying':
    case 'failed':
      return undefined;
    default:
      return unreachable(state);
  }
}

/** The result of an output of a node, which must be done. Throws a RangeError if it has none. */
export function resultAt<R>({ state, vertex }: Node<R>, output: number): MaybeDeferred<R> {
  if (state.kind !== 'done') throw new TypeError(`${vertex.name} is not done`);
  const result = state.results[output];
  if (result === undefined) throw new RangeError(`${vertex.name} has no output ${output}`);
  return result;
}

/** The default case of a switch over a union: the compiler reports it if a member has no case. */
export function unreachable(value: never): never {
  throw new TypeError(`no such state: ${JSON.stringify(value)}`);
}
