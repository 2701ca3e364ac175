import type { Digest } from '../base/digest.ts';
import type { KeyPart } from '../cache/cache.ts';
import type { Held } from './deferred.ts';
import type { VertexError } from './failure.ts';
import type { CacheMap, Vertex } from './solver.ts';

/**
 * The life of a vertex in one solver:
 *
 *     new → mapping → keying → keyed ─┬→ done                      a record was there
 *                       │             ├→ following → done          another vertex runs the same key
 *                       └→ done       └→ collecting → running → done
 *
 * Every state but done may go to failed. `transition.ts` holds the moves.
 */
export type State<R> =
  /** Nobody has asked for anything. */
  | { readonly kind: 'new' }
  /** `op.cacheMap` is under way. */
  | { readonly kind: 'mapping' }
  /** The key is being put together from the inputs' keys and contents. */
  | { readonly kind: 'keying'; readonly keying: Keying<R> }
  /** The key is known; the result was not looked for. */
  | { readonly kind: 'keyed'; readonly identity: Identity }
  /** Another vertex has the same key and is the one that executes. */
  | { readonly kind: 'following'; readonly identity: Identity; readonly leader: Node<R> }
  /** No record: the results of all inputs are awaited. */
  | { readonly kind: 'collecting'; readonly identity: Identity }
  /** `op.run` is under way, or waits for a free place. */
  | { readonly kind: 'running'; readonly identity: Identity }
  | {
      readonly kind: 'done';
      readonly identity: Identity;
      readonly results: readonly Held<R>[];
      readonly how: 'ran' | 'cached' | 'shared';
    }
  | { readonly kind: 'failed'; readonly error: VertexError };

/** What is wanted of a vertex; a later want includes the earlier ones. */
export const WANT = { nothing: 0, key: 1, result: 2 } as const;
export type Want = (typeof WANT)[keyof typeof WANT];

/** A vertex in a solver. Mutable, and touched by the scheduler and the transition function only. */
export interface Node<R> {
  readonly id: string;
  readonly vertex: Vertex<R>;
  inputs: readonly Node<R>[];
  /**
   * Who looks at this node's state: vertices that read it, and vertices that follow its execution.
   */
  readonly observers: Set<Node<R>>;
  state: State<R>;
  want: Want;
  /** How many running solves have this vertex in their graph. */
  interest: number;
  queued: boolean;
  /** Aborts what is under way for this node. A new one for each life of the node. */
  abort: AbortController;
  /** What is under way: settles when the op is really over. */
  readonly flights: Set<Promise<void>>;
  /** True once progress has shown how this vertex ended. */
  reported: boolean;
  /** The key this node executes for all who have it. */
  leads: Digest | undefined;
}

/** What a vertex is, once known. */
export interface Identity {
  /** Undefined for a volatile result, which no record can name. */
  readonly key: Digest | undefined;
  /**
   * Executed in this build whatever the cache holds (`ignoreCache`, here or below by definition).
   */
  readonly fresh: boolean;
  /**
   * Links to save beside a record: the definition key and the sightings that the cache does not
   * have yet.
   */
  readonly links: readonly Digest[];
  readonly parts: readonly KeyPart[];
  /** What the inputs that were read by content hold, by input. */
  readonly indexes?: ReadonlyMap<number, () => Buffer>;
  /**
   * All links to the record, known to the cache or not. Made when asked for: only an export of the
   * cache wants them.
   */
  readonly aliases?: () => readonly Digest[];
}

/**
 * What a record can still do for a vertex whose key is being put together. It only ever gets worse,
 * and each includes those before it:
 *
 * - `open`: the definition key may lead to a record, and then no input is read.
 * - `byContent`: the definition key was looked up, or there can be none. What the inputs hold
 *   decides.
 * - `hopeless`: no record can match. The op will run once its result is wanted, so nothing is
 *   gained by waiting.
 * - `fresh`: the op runs whatever the cache holds (`ignoreCache`, here or below by definition).
 * - `volatile`: the result means nothing in another build, and has no key.
 */
export const OUTLOOK = { open: 0, byContent: 1, hopeless: 2, fresh: 3, volatile: 4 } as const;
export type Outlook = (typeof OUTLOOK)[keyof typeof OUTLOOK];

/** The parts of a key so far. Mutable: it belongs to one node's `keying` state. */
export interface Keying<R> {
  readonly map: CacheMap<R>;
  readonly op: Digest;
  /** Whether the op reads any input by content. */
  readonly readsContent: boolean;
  outlook: Outlook;
  /**
   * Per input, whether the cache has seen this op read it; undefined until the input's key is
   * known.
   */
  readonly seen: (boolean | undefined)[];
  /** Per input read by content. */
  readonly contents: (Content | 'under way' | undefined)[];
}

/** The outlook becomes at least as bad as `outlook`. */
export function darken<R>(keying: Keying<R>, outlook: Outlook): void {
  if (outlook > keying.outlook) keying.outlook = outlook;
}

export interface Content {
  readonly digest: Digest;
  readonly parts: readonly KeyPart[];
  readonly index?: (() => Buffer) | undefined;
}

/** The identity of a node as far as it is known. */
export function identityOf<R>(state: State<R>): Identity | undefined {
  switch (state.kind) {
    case 'keyed':
    case 'following':
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

/** Closes a switch over a union: the compiler complains when a member was forgotten. */
export function unreachable(value: never): never {
  throw new TypeError(`no such state: ${JSON.stringify(value)}`);
}
