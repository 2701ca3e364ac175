import type { Digest } from '../../base/digest.ts';
import { CancelledError, KilnError, messageOf } from '../../base/errors.ts';
import type { ProgressEvent, ProgressSink, VertexEvent } from '../../base/progress.ts';
import type { BuildWithWorkers } from '../../builder/other-workers.ts';
import type { LayerId, Snapshot } from '../../snapshotter/snapshotter.ts';
import { type FailedVertex, VertexError } from '../../solver/failure.ts';
import type { LlbEdge, LlbVertex } from '../../solver/llb/graph.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { AskedElsewhere, Edge, Vertex } from '../../solver/solver.ts';
import { secretNeeds } from './lend.ts';
import { nearNames } from './near.ts';
import { type Reason, statedPlatform } from './placement.ts';
import { LostWorker, type MachinePool, type Machines } from './pool.ts';
import type { SolverSide } from './read-files.ts';
import { sendGraph } from './send-graph.ts';

/** Errors that say that a step failed, wherever it ran. All others may be those of the worker. */
const OF_THE_STEP: readonly string[] = ['KILN_STEP_FAILED', 'KILN_STEP_OOM'];

/** What one build asks of the machines in pools. */
export class Asking {
  readonly #build: BuildWithWorkers;
  readonly #pools: readonly MachinePool[];
  readonly #sharesCaches: boolean;
  /** The vertices of which events have told how they ended. */
  readonly #told: Set<Digest>;
  readonly #distrusted = new Set<string>();
  readonly #unreachable = new Set<MachinePool>();
  /** The layers that were sent or brought, by diffID. */
  readonly #here = new Map<Digest, LayerId>();

  constructor(build: BuildWithWorkers, { pools, sharesCaches }: Machines, told: Set<Digest>) {
    this.#build = build;
    this.#pools = pools;
    this.#sharesCaches = sharesCaches;
    this.#told = told;
  }

  /**
   * Has a machine make the result of a vertex. Undefined when none does. Rejects with the error of
   * a step that failed there, and with a CancelledError after `signal` was aborted.
   */
  async ask(
    asked: AskedElsewhere<BuildResult>,
    reason: Reason,
    signal: AbortSignal,
  ): Promise<Snapshot | undefined> {
    for (const pool of this.#pools) {
      const snapshot = await this.#askPool(pool, asked, reason, signal);
      if (snapshot) return snapshot;
    }
    return undefined;
  }

  async #askPool(
    pool: MachinePool,
    asked: AskedElsewhere<BuildResult>,
    reason: Reason,
    signal: AbortSignal,
  ) {
    if (this.#unreachable.has(pool)) return undefined;
    const vertex = asked.vertex.origin as LlbVertex;
    const edge = { vertex, output: 0 };
    const platform = statedPlatform(vertex) ?? this.#build.worker.platforms[0];
    const vertexOf = verticesBelow(asked.vertex);
    const { secrets, agents } = await secretNeeds(edge, this.#build.session);
    const wanted = {
      key: asked.key,
      near: nearNames(vertex, platform, (one) => {
        const there = vertexOf(one);
        return there && asked.keyOf(there);
      }),
      platform,
      hasSecrets: secrets.size + agents.size > 0,
      distrusted: this.#distrusted,
    };
    let last = '';
    let watch = new EventWatch(asked, this.#told, undefined);
    try {
      return await pool.withWorker(wanted, signal, async (server, worker, both) => {
        last = worker;
        // What a worker that was lost has told does not count for the next one.
        const place = { worker, reason: reason.text };
        watch = new EventWatch(asked, this.#told, place);
        for (const event of decision(asked.vertex, place)) asked.progress(event);
        const sent = {
          edge,
          platform,
          known: knownIn(asked, vertexOf),
          side: { known: asked.known, contents: asked.contents, vertexOf },
          remembers: pool.remembers,
          sharesCaches: this.#sharesCaches,
          progress: watch.event,
        };
        return await sendGraph(server, sent, this.#build, this.#here, both);
      });
    } catch (error) {
      if (signal.aborted) throw new CancelledError(signal.reason);
      if (error instanceof KilnError && OF_THE_STEP.includes(error.code)) {
        if (!watch.isDiskFull) throw new VertexError(watch.tellFailure() ?? asked.vertex, error);
        this.#giveUp(pool, last, new Error('its disk is full'), asked, watch);
        return undefined;
      }
      this.#giveUp(pool, last, error, asked, watch);
      return undefined;
    }
  }

  /** What the worker said is a warning. The work is done here, where its own errors are told. */
  #giveUp(
    pool: MachinePool,
    worker: string,
    error: unknown,
    { progress, vertex }: AskedElsewhere<BuildResult>,
    watch: EventWatch,
  ): void {
    if (worker !== '' && !(error instanceof LostWorker)) this.#distrusted.add(worker);
    if (worker === '') this.#unreachable.add(pool);
    const who = worker === '' ? 'the workers cannot be asked' : `worker ${worker} failed`;
    const why = error instanceof LostWorker ? error.message : `${who}: ${messageOf(error)}`;
    const short = `${why}, so this runs here: ${vertex.name}`;
    watch.withdraw(`runs here, because ${why}`);
    progress({ kind: 'warning', vertex: vertex.digest, short, detail: [] });
  }
}

/** The events of a worker. Those that are no end of the step are passed on. */
class EventWatch {
  readonly #progress: ProgressSink;
  readonly #told: Set<Digest>;
  readonly #place: Place | undefined;
  /** The vertices that were told to run there, with their names. */
  readonly #placed = new Map<Digest, string>();
  #failure: VertexEvent | undefined;
  /** True when a step has said so. It may have room here, or on another worker. */
  isDiskFull = false;

  constructor(
    { progress, vertex }: Pick<AskedElsewhere<BuildResult>, 'progress' | 'vertex'>,
    told: Set<Digest>,
    place: Place | undefined,
  ) {
    this.#progress = progress;
    this.#told = told;
    this.#place = place;
    this.#placed.set(vertex.digest, vertex.name);
  }

  readonly event = (event: ProgressEvent): void => {
    if (event.kind === 'log' && DISK_FULL.test(Buffer.from(event.data).toString()))
      this.isDiskFull = true;
    if (event.kind === 'vertex') {
      // A worker that is lost is no end of the step, which runs elsewhere then.
      if (event.cancelled) return;
      // Whether the step itself has failed is known later.
      if (event.error !== undefined) {
        this.#failure = event;
        return;
      }
      if (event.completed !== undefined) this.#told.add(event.vertex);
      this.#tellPlace(event);
    }
    this.#progress(event);
  };

  /** What the vertex stands on runs there, too, when it has no result yet. */
  #tellPlace({ vertex, name, started, cached }: VertexEvent): void {
    if (!this.#place || started === undefined || cached || this.#placed.has(vertex)) return;
    this.#placed.set(vertex, name);
    this.#progress({ kind: 'placed', vertex, name, ...this.#place });
  }

  /** Tells that nothing of it runs there. */
  withdraw(reason: string): void {
    for (const [vertex, name] of this.#placed)
      this.#progress({ kind: 'placed', vertex, name, reason });
  }

  /** Passes on that a step has failed. Returns its vertex. */
  tellFailure(): FailedVertex | undefined {
    if (!this.#failure) return undefined;
    const { vertex, name } = this.#failure;
    this.#told.add(vertex);
    this.#progress(this.#failure);
    return { digest: vertex, name };
  }
}

/** What the C library and Node say. */
const DISK_FULL = /No space left on device|\bENOSPC\b/;

/** Finds the solver's vertices, at or below the one that is asked for, by those of the graph. */
function verticesBelow(top: Vertex<BuildResult>): SolverSide['vertexOf'] {
  const found = new Map<unknown, Vertex<BuildResult>>();
  const pending = [top];
  for (let one = pending.pop(); one; one = pending.pop()) {
    if (found.has(one.origin)) continue;
    found.set(one.origin, one);
    pending.push(...one.inputs.map((input: Edge<BuildResult>) => input.vertex));
  }
  return (vertex) => found.get(vertex);
}

/** Results by the edges of the graph. */
function knownIn({ known }: AskedElsewhere<BuildResult>, vertexOf: SolverSide['vertexOf']) {
  return (edge: LlbEdge) => {
    const there = vertexOf(edge.vertex);
    return there && known({ vertex: there, output: edge.output });
  };
}

/** Where something runs, and why. */
interface Place {
  readonly worker: string;
  readonly reason: string;
}

/** Tells the decision, to the record and in the log of the step. */
function decision(
  vertex: Vertex<BuildResult>,
  { worker, reason }: Place,
): readonly ProgressEvent[] {
  return [
    { kind: 'placed', vertex: vertex.digest, name: vertex.name, worker, reason },
    {
      kind: 'log',
      vertex: vertex.digest,
      stream: 2,
      data: Buffer.from(`runs on worker ${worker}: ${reason}\n`),
      timestamp: Date.now(),
    },
  ];
}
