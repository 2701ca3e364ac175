import { breathe } from '../base/breath.ts';
import type { Digest } from '../base/digest.ts';
import { CancelledError } from '../base/errors.ts';
import { createCachedVertices } from './cached.ts';
import type { MaybeDeferred } from './deferred.ts';
import { createExecution } from './execution.ts';
import { VertexError } from './failure.ts';
import { startKeying } from './keying.ts';
import { createLeaders } from './leaders.ts';
import { loadRecord } from './loading.ts';
import { createNodes, hasFollowers } from './nodes.ts';
import { createMoveQueue } from './queue.ts';
import { createReporter } from './reporter.ts';
import type { Edge, KeyedVertex, SolverOptions, Vertex } from './solver.ts';
import { identityOf, type Node, resultAt, type State, type Want } from './state.ts';
import { type Effects, transition } from './transition.ts';

const NOTHING: ReadonlyMap<number, Digest> = new Map();

/**
 * The nodes of a solver and the queue of those whose state may change. States change only within
 * `pump` or when a flight (an asynchronous piece of work for a node) ends.
 */
export interface Scheduler<R> {
  /**
   * Adds one to the interest in the vertices, which must come inputs first, and makes nodes of
   * those that have none yet. Returns the nodes in the same order.
   */
  enter(vertices: readonly Vertex<R>[]): readonly Node<R>[];
  /**
   * Takes back the interest in the nodes. Aborts the work that no other solve needs, and resolves
   * when that work has really ended.
   */
  leave(nodes: readonly Node<R>[]): Promise<void>;
  node(vertex: Vertex<R>): Node<R>;
  /** Notes what is wanted of a node. Nothing moves until `pump`. */
  ask(node: Node<R>, want: Want): void;
  /** Moves nodes until none can move. */
  pump(): void;
  /** Calls `look` whenever nodes have moved, until the returned function is called. */
  watch(look: () => void): () => void;
  /** Reports the vertices that nobody needed as cached. */
  reportUnneeded(nodes: readonly Node<R>[]): void;
  /** Those of the nodes that have a key. */
  keyed(nodes: readonly Node<R>[]): readonly KeyedVertex<R>[];
}

/**
 * Combines the parts of the scheduler: `nodes`, `queue` (which nodes may move), `leaders` (which
 * node executes a key), `execution` (the slow work) and `cached` (reports what did not run).
 */
export function createScheduler<R>(options: SolverOptions<R>): Scheduler<R> {
  const reporter = createReporter<R>(options.progress);
  const nodes = createNodes<R>();
  const queue = createMoveQueue<R>(move);
  const leaders = createLeaders<R>((waiters) => {
    for (const waiter of waiters) queue.enqueue(waiter);
    queue.pump();
  });
  const cached = createCachedVertices<R>(options, reporter);
  const effects = createEffects();

  function set(node: Node<R>, state: State<R>): void {
    node.state = state;
    queue.enqueue(node);
    for (const observer of node.observers) queue.enqueue(observer);
    if (state.kind === 'done') cached.done(node, state);
  }

  function move(node: Node<R>): void {
    try {
      const next = transition(node, effects);
      if (next !== node.state) set(node, next);
    } catch (error) {
      fail(node, error);
    }
  }

  function fail(node: Node<R>, error: unknown): void {
    set(node, {
      kind: 'failed',
      error: error instanceof VertexError ? error : new VertexError(node.vertex, error),
    });
  }

  function ask(node: Node<R>, want: Want): void {
    if (want <= node.want) return;
    node.want = want;
    queue.enqueue(node);
  }

  /**
   * Starts `task` for the node, and calls `onLanded` with its value unless the node was given up
   * meanwhile. An error of either fails the node. The flight counts as ended only when `task` has
   * settled, also after an abort.
   */
  function startFlight<T>(
    node: Node<R>,
    task: (signal: AbortSignal) => Promise<T>,
    onLanded: (value: T) => void,
  ): void {
    const { abort } = node;
    const flight: Promise<void> = (async () => {
      try {
        const value = await task(abort.signal);
        await breathe();
        if (node.abort === abort) onLanded(value);
      } catch (error) {
        if (node.abort === abort) fail(node, error);
      }
    })().finally(() => {
      node.flights.delete(flight);
      queue.pump();
    });
    node.flights.add(flight);
  }

  function createEffects(): Effects<R> {
    const execution = createExecution(options, reporter);
    return {
      ask,
      resolve: (definition) => options.cache.resolve(definition),
      load: (key, node) => loadRecord(options, key, node),
      leader: (key) => leaders.of(key),
      lead: (key, node) => leaders.lead(key, node),
      isEnding: (key, node) => leaders.isEnding(key, node),
      startMap(node) {
        const onLanded = (map: Parameters<typeof startKeying<R>>[1]) =>
          set(node, { kind: 'keying', keying: startKeying(node.vertex, map) });
        startFlight(node, (signal) => execution.map(node, signal), onLanded);
      },
      startDigest(node, keying, index) {
        const read = keying.map.inputs[index]!;
        if (read.by !== 'content') throw new TypeError(`input ${index} is not read by content`);
        startFlight(
          node,
          (signal) => execution.digest(node, index, read, signal),
          (content) => {
            keying.contents[index] = content;
            queue.enqueue(node);
          },
        );
      },
      startRun(node, identity) {
        startFlight(
          node,
          (signal) => execution.run(node, identity, signal),
          ({ results, how }) => set(node, { kind: 'done', identity, results, how }),
        );
      },
      mayGoAway: ({ vertex }) => options.elsewhere?.takes(vertex) ?? false,
      startAway(node, identity) {
        startFlight(
          node,
          (signal) => execution.away(node, identity, signal, { known, contents, keyOf }),
          (run) =>
            set(node, run ? { kind: 'done', identity, ...run } : { kind: 'collecting', identity }),
        );
      },
    };
  }

  function keyOf(vertex: Vertex<R>): Digest | undefined {
    return identityOf(nodes.get(vertex).state)?.key;
  }

  function contents(vertex: Vertex<R>): ReadonlyMap<number, Digest> {
    return identityOf(nodes.get(vertex).state)?.contents ?? NOTHING;
  }

  /** A result that needs no run: of a node that is done, or of a record. */
  function known({ vertex, output }: Edge<R>): MaybeDeferred<R> | undefined {
    const node = nodes.get(vertex);
    if (node.state.kind === 'done') return resultAt(node, output);
    const identity = identityOf(node.state);
    return identity?.key && !identity.fresh
      ? loadRecord(options, identity.key, node)?.[output]
      : undefined;
  }

  /**
   * Forgets a node that no running solve is interested in, unless it is done, and aborts its work.
   * A running node goes on if others follow it. Returns the flights that were aborted.
   */
  function giveUp(node: Node<R>): readonly Promise<void>[] {
    if (node.interest > 0 || node.state.kind === 'done' || !nodes.has(node)) return [];
    const isAtWork = node.state.kind === 'running' || node.state.kind === 'away';
    if (isAtWork && hasFollowers(node)) return [];
    const leader = node.state.kind === 'following' ? node.state.leader : undefined;
    leaders.resign(node);
    const abort = nodes.forget(node);
    for (const observer of node.observers) queue.enqueue(observer);
    abort.abort(new CancelledError());
    const flights = [...node.flights];
    if (leader) {
      leader.observers.delete(node);
      flights.push(...giveUp(leader));
    }
    return flights;
  }

  return {
    ask,
    pump: queue.pump,
    watch: queue.watch,
    node: nodes.get,
    enter: (vertices) => nodes.enter(vertices, (vertex) => reporter.announce(vertex)),
    async leave(left) {
      for (const node of left) node.interest--;
      const flights = left.flatMap(giveUp);
      queue.pump();
      await Promise.all(flights);
    },
    reportUnneeded: cached.unneeded,
    keyed: (all) =>
      all.flatMap(({ vertex, state }) => {
        const identity = identityOf(state);
        return identity?.key
          ? [
              {
                vertex,
                key: identity.key,
                aliases: identity.aliases?.() ?? [],
                contents: identity.contents ?? NOTHING,
              },
            ]
          : [];
      }),
  };
}
