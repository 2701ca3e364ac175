import type { Digest } from '../base/digest.ts';
import { CancelledError } from '../base/errors.ts';
import { Deferred, type Held } from './deferred.ts';
import { createExplaining } from './explain/explaining.ts';
import { VertexError } from './failure.ts';
import { vertexId } from './graph.ts';
import { startKeying } from './keying.ts';
import { createLimits } from './limits.ts';
import { loadRecord } from './loading.ts';
import { createReporter } from './reporter.ts';
import type { KeyedVertex, MapReport, RunContext, SolverOptions, Vertex } from './solver.ts';
import { type Identity, identityOf, type Node, type State, WANT, type Want } from './state.ts';
import { type Effects, transition } from './transition.ts';

/** The nodes of a solver and the list of those that may be able to move. Everything but flights happens within `pump`. */
export interface Scheduler<R> {
  /** Takes part in the vertices (inputs first), which are made nodes if they are none yet. */
  enter(vertices: readonly Vertex<R>[]): readonly Node<R>[];
  /** Gives them up: aborts what nobody else needs and answers when it is over. */
  leave(nodes: readonly Node<R>[]): Promise<void>;
  node(vertex: Vertex<R>): Node<R>;
  ask(node: Node<R>, want: Want): void;
  pump(): void;
  /** Calls `look` whenever nodes have moved, until the returned function is called. */
  watch(look: () => void): () => void;
  /** Reports the vertices that nobody needed as cached. */
  reportUnneeded(nodes: readonly Node<R>[]): void;
  /** Those of the nodes that have a key. */
  keyed(nodes: readonly Node<R>[]): readonly KeyedVertex<R>[];
}

export function createScheduler<R>(options: SolverOptions<R>): Scheduler<R> {
  const { cache, codec } = options;
  const nodes = new Map<string, Node<R>>();
  const leaders = new Map<Digest, Node<R>>();
  /** Cancelled executions that are not over, with the nodes that wait for their end. */
  const endings = new Map<Digest, Set<Node<R>>>();
  const watchers = new Set<() => void>();
  const reporter = createReporter<R>(options.progress);
  const explain = createExplaining<R>(options);
  const limits = createLimits(options.limits);
  let queue: Node<R>[] = [];
  let pumping = false;

  function enqueue(node: Node<R>): void {
    if (node.queued) return;
    node.queued = true;
    queue.push(node);
  }

  function set(node: Node<R>, state: State<R>): void {
    node.state = state;
    enqueue(node);
    for (const observer of node.observers) enqueue(observer);
    if (state.kind === 'done') ended(node, state);
  }

  function pump(): void {
    if (pumping) return;
    pumping = true;
    while (queue.length > 0) {
      const batch = queue;
      queue = [];
      for (const node of batch) {
        node.queued = false;
        move(node);
      }
    }
    pumping = false;
    for (const look of [...watchers]) look();
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
    set(node, { kind: 'failed', error: error instanceof VertexError ? error : new VertexError(node.vertex, error) });
  }

  function ask(node: Node<R>, want: Want): void {
    if (want <= node.want) return;
    node.want = want;
    enqueue(node);
  }

  /**
   * Runs `task` for the node and then moves on, unless the node was given up meanwhile. A flight that ends in an error fails the
   * node. The promise is kept until the task is really over.
   */
  function fly<T>(node: Node<R>, task: (signal: AbortSignal) => Promise<T>, land: (value: T) => void): void {
    const { abort } = node;
    const flight: Promise<void> = (async () => {
      try {
        const value = await task(abort.signal);
        if (node.abort === abort) land(value);
      } catch (error) {
        if (node.abort === abort) fail(node, error);
      }
    })().finally(() => {
      node.flights.delete(flight);
      pump();
    });
    node.flights.add(flight);
  }

  const effects: Effects<R> = {
    ask,
    resolve: (definition) => cache.resolve(definition),
    leader: (key) => leaders.get(key),
    lead(key, node) {
      leaders.set(key, node);
      node.leads = key;
    },
    isEnding(key, node) {
      endings.get(key)?.add(node);
      return endings.has(key);
    },
    startMap(node) {
      fly(
        node,
        (signal) => reported(node, () => node.vertex.op.cacheMap(signal, mapReport(node.vertex))),
        (map) => set(node, { kind: 'keying', keying: startKeying(node.vertex, map) }),
      );
    },
    startDigest(node, keying, index) {
      const read = keying.map.inputs[index]!;
      if (read.by !== 'content') throw new TypeError(`input ${index} is not read by content`);
      fly(
        node,
        async (signal) => {
          const input = await bringInput(node, index, signal);
          return await reported(node, () => read.digest(input, signal));
        },
        (content) => {
          keying.contents[index] = { digest: content.digest, parts: content.parts ?? [], index: content.index };
          enqueue(node);
        },
      );
    },
    startRun(node, identity) {
      fly(
        node,
        (signal) => runOnce(node, identity, signal),
        ({ results, how }) => set(node, { kind: 'done', identity, results, how }),
      );
    },
    load: (key, node) => loadRecord(options, key, node),
  };

  function mapReport(vertex: Vertex<R>): MapReport {
    return { progress: options.progress, vertex: vertex.digest, started: () => reporter.started(vertex, Date.now()) };
  }

  /** Runs the op, unless another process is doing so: then its record is waited for. */
  async function runOnce(node: Node<R>, identity: Identity, signal: AbortSignal): Promise<Run<R>> {
    const { key, fresh } = identity;
    const run = async (): Promise<Run<R>> => ({ results: await execute(node, identity, signal), how: 'ran' });
    if (!options.alone || !key || fresh) return await run();
    return await options.alone(key, signal, async () => {
      const results = loadRecord(options, key, node);
      return results ? { results, how: 'cached' } : await run();
    });
  }

  /** What input `index` of the node came to, brought here when it is elsewhere. */
  async function bringInput(node: Node<R>, index: number, signal: AbortSignal): Promise<R> {
    const edge = node.vertex.inputs[index]!;
    const held = outputOf(node.inputs[index]!, edge.output);
    if (!(held instanceof Deferred)) return held;
    return await held.bring({ signal, progress: options.progress, vertex: edge.vertex.digest });
  }

  /** Runs the op where there is a place for it, and saves its record. */
  async function execute(node: Node<R>, identity: Identity, signal: AbortSignal): Promise<readonly R[]> {
    const { vertex } = node;
    // Before a place is taken: others can run while bytes are on their way.
    const inputs = await Promise.all(node.inputs.map((_, index) => bringInput(node, index, signal)));
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
          progress: options.progress,
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

  function save(node: Node<R>, identity: Identity, results: readonly R[], durationMs: number): void {
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

  function ended(node: Node<R>, state: State<R> & { kind: 'done' }): void {
    const { key, links } = state.identity;
    if (state.how === 'ran') return;
    if (key) {
      for (const link of links) cache.link(link, key);
      cache.touch(key);
    }
    if (node.reported) return;
    reportSpared(node);
    node.reported = true;
    reporter.cached(node.vertex);
  }

  /** What a cached vertex rests on and has a record too: shown as cached at once, in order, so that a long build shows where it is. */
  function reportSpared(node: Node<R>): void {
    const spared: Node<R>[] = [];
    const stack = [node];
    const visited = new Set<Node<R>>(stack);
    for (let top = stack.pop(); top; top = stack.pop()) {
      for (const input of top.inputs) {
        const identity = identityOf(input.state);
        if (visited.has(input) || input.reported || input.want === WANT.result || !identity?.key || identity.fresh) continue;
        visited.add(input);
        stack.push(input);
        if (cache.load(identity.key) ?? cache.imported?.load(identity.key)[0]) spared.push(input);
      }
    }
    for (const input of spared.reverse()) {
      input.reported = true;
      cache.touch(identityOf(input.state)!.key!);
      reporter.cached(input.vertex);
    }
  }

  function newNode(vertex: Vertex<R>): Node<R> {
    return {
      id: vertexId(vertex),
      vertex,
      inputs: [],
      observers: new Set(),
      state: { kind: 'new' },
      want: WANT.nothing,
      interest: 0,
      queued: false,
      abort: new AbortController(),
      flights: new Set(),
      reported: false,
      leads: undefined,
    };
  }

  /**
   * Forgets a node that nobody takes part in, unless it is done; a run goes on for those who follow it. Answers what it aborted.
   */
  function giveUp(node: Node<R>): readonly Promise<void>[] {
    if (node.interest > 0 || node.state.kind === 'done' || nodes.get(node.id) !== node) return [];
    if (node.state.kind === 'running' && hasFollowers(node)) return [];
    const leader = node.state.kind === 'following' ? node.state.leader : undefined;
    if (node.leads && leaders.get(node.leads) === node) leaders.delete(node.leads);
    if (node.leads && node.state.kind === 'running') awaitEnd(node.leads, node);
    nodes.delete(node.id);
    const old = node.abort;
    node.abort = new AbortController();
    node.state = { kind: 'new' };
    node.want = WANT.nothing;
    for (const observer of node.observers) enqueue(observer);
    old.abort(new CancelledError());
    const flights = [...node.flights];
    if (leader) {
      leader.observers.delete(node);
      flights.push(...giveUp(leader));
    }
    return flights;
  }

  function awaitEnd(key: Digest, node: Node<R>): void {
    const waiting = new Set<Node<R>>();
    endings.set(key, waiting);
    void Promise.all(node.flights).then(() => {
      endings.delete(key);
      for (const waiter of waiting) enqueue(waiter);
      pump();
    });
  }

  return {
    ask,
    pump,
    node: (vertex) => nodes.get(vertexId(vertex))!,
    watch(look) {
      watchers.add(look);
      return () => watchers.delete(look);
    },
    enter(vertices) {
      return vertices.map((vertex) => {
        const id = vertexId(vertex);
        const known = nodes.get(id);
        const node = known ?? newNode(vertex);
        nodes.set(id, node);
        node.interest++;
        node.inputs = vertex.inputs.map((edge) => nodes.get(vertexId(edge.vertex))!);
        for (const input of node.inputs) input.observers.add(node);
        if (!known) reporter.announce(vertex);
        return node;
      });
    },
    async leave(left) {
      for (const node of left) node.interest--;
      const flights = left.flatMap(giveUp);
      pump();
      await Promise.all(flights);
    },
    keyed: (all) =>
      all.flatMap(({ vertex, state }) => {
        const identity = identityOf(state);
        return identity?.key ? [{ vertex, key: identity.key, aliases: identity.aliases?.() ?? [] }] : [];
      }),
    reportUnneeded(all) {
      for (const node of all) {
        if (node.reported) continue;
        node.reported = true;
        const key = identityOf(node.state)?.key;
        if (key) cache.touch(key);
        reporter.cached(node.vertex);
      }
    },
  };
}

interface Run<R> {
  readonly results: readonly Held<R>[];
  readonly how: 'ran' | 'cached';
}

function hasFollowers<R>(leader: Node<R>): boolean {
  for (const node of leader.observers) {
    if (node.interest > 0 && node.state.kind === 'following' && node.state.leader === leader) return true;
  }
  return false;
}

function outputOf<R>(node: Node<R>, output: number): Held<R> {
  if (node.state.kind !== 'done') throw new TypeError(`${node.vertex.name} is not done`);
  const result = node.state.results[output];
  if (result === undefined) throw new RangeError(`${node.vertex.name} has no output ${output}`);
  return result;
}
