import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Digest } from '../../base/digest.ts';
import type { ProgressEvent, StatusEvent, VertexEvent } from '../../base/progress.ts';
import { isStepName } from '../../base/step-name.ts';
import type { BuildObservation, BuildObserver } from '../../builder/observer.ts';

/** What the store takes, in bytes. */
export interface StoreSizes {
  readonly images: number;
  readonly cache: number;
}

export interface BuildMetricsOptions {
  /** The version of Kiln. */
  readonly version: string;
  /** Called when the metrics are read, at most once in `STORE_MS`. */
  readonly storeSizes: () => StoreSizes;
}

/** Looking through the store costs more than reading a number. */
const STORE_MS = 60_000;
const BUILD_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
const STEP_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800];

/**
 * # The metrics of a server
 *
 * Counts builds, steps of Dockerfiles and bytes from the progress of builds. Measures the store
 * when somebody reads. No label holds a text of a user, so the number of series does not grow.
 */
export class BuildMetrics implements BuildObserver {
  readonly #registry = new Registry();
  readonly #builds = this.#counter('kiln_builds_total', 'Builds that ended', ['outcome']);
  readonly #buildSeconds = new Histogram({
    name: 'kiln_build_duration_seconds',
    help: 'How long builds took',
    labelNames: ['outcome'],
    buckets: BUILD_SECONDS,
    registers: [this.#registry],
  });
  readonly #running = this.#gauge('kiln_builds_running', 'Builds that run now');
  readonly #steps = this.#counter(
    'kiln_steps_total',
    'Steps that ended: they were cached, ran, failed or were cancelled',
    ['outcome'],
  );
  readonly #stepSeconds = new Histogram({
    name: 'kiln_step_duration_seconds',
    help: 'How long steps took that ran',
    buckets: STEP_SECONDS,
    registers: [this.#registry],
  });
  readonly #stepsRunning = this.#gauge('kiln_steps_running', 'Steps that run now');
  readonly #stepsQueued = this.#gauge(
    'kiln_steps_queued',
    'Steps of running builds that wait for their inputs or for a free place',
  );
  readonly #cpu = this.#counter('kiln_step_cpu_seconds_total', 'Processor time of steps');
  readonly #bytes = this.#counter('kiln_transferred_bytes_total', 'Bytes that were moved', [
    'direction',
  ]);
  readonly #storeBytes = this.#gauge('kiln_store_bytes', 'What the store takes', ['kind']);
  readonly #options: BuildMetricsOptions;
  #measured = Number.NEGATIVE_INFINITY;

  constructor(options: BuildMetricsOptions) {
    this.#options = options;
    this.#gauge('kiln_info', 'The version of Kiln', ['version']).set(
      { version: options.version },
      1,
    );
    for (const outcome of ['completed', 'failed', 'cancelled']) this.#builds.inc({ outcome }, 0);
    for (const outcome of ['cached', 'ran', 'failed', 'cancelled']) this.#steps.inc({ outcome }, 0);
    for (const direction of DIRECTIONS) this.#bytes.inc({ direction }, 0);
  }

  /** Returns the metrics in the text format of Prometheus 0.0.4. */
  async text(): Promise<string> {
    const now = performance.now();
    if (now - this.#measured > STORE_MS) {
      this.#measured = now;
      const { images, cache } = this.#options.storeSizes();
      this.#storeBytes.set({ kind: 'images' }, images);
      this.#storeBytes.set({ kind: 'cache' }, cache);
    }
    return await this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  begin(): BuildObservation {
    const started = performance.now();
    this.#running.inc();
    const steps = new Map<Digest, 'queued' | 'running' | 'ended'>();
    const moved = new Map<string, number>();
    return {
      event: (event) => this.#event(event, steps, moved),
      end: (outcome) => {
        this.#running.dec();
        this.#builds.inc({ outcome });
        this.#buildSeconds.observe({ outcome }, (performance.now() - started) / 1000);
        for (const state of steps.values()) {
          if (state === 'queued') this.#stepsQueued.dec();
          if (state === 'running') this.#stepsRunning.dec();
        }
      },
    };
  }

  #event(
    event: ProgressEvent,
    steps: Map<Digest, 'queued' | 'running' | 'ended'>,
    moved: Map<string, number>,
  ): void {
    if (event.kind === 'status') this.#transfer(event, moved);
    if (event.kind !== 'vertex' || !isStepName(event.name)) return;
    const before = steps.get(event.vertex);
    const after = stateOf(event);
    if (before === after || before === 'ended') return;
    steps.set(event.vertex, after);
    if (before === 'queued') this.#stepsQueued.dec();
    if (before === 'running') this.#stepsRunning.dec();
    if (after === 'queued') this.#stepsQueued.inc();
    if (after === 'running') this.#stepsRunning.inc();
    if (after === 'ended') this.#stepEnded(event);
  }

  #stepEnded(event: VertexEvent): void {
    const outcome = outcomeOf(event);
    this.#steps.inc({ outcome });
    this.#cpu.inc((event.usage?.cpuMs ?? 0) / 1000);
    if (outcome === 'ran' && event.started !== undefined && event.completed !== undefined)
      this.#stepSeconds.observe(Math.max(0, event.completed - event.started) / 1000);
  }

  /** A status tells how many bytes were moved so far. */
  #transfer({ vertex, id, current }: StatusEvent, moved: Map<string, number>): void {
    const direction = directionOf(id);
    if (direction === undefined) return;
    const key = `${vertex} ${id}`;
    const added = current - (moved.get(key) ?? 0);
    if (added <= 0) return;
    moved.set(key, current);
    this.#bytes.inc({ direction }, added);
  }

  #counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }
}

const DIRECTIONS = ['pulled', 'pushed', 'context'] as const;

/** What a status counts, by the names that statuses have in BuildKit. */
function directionOf(id: string): (typeof DIRECTIONS)[number] | undefined {
  if (id.startsWith('sha256:')) return 'pulled';
  if (id.startsWith('pushing layer')) return 'pushed';
  return id.startsWith('transferring ') ? 'context' : undefined;
}

function stateOf({ started, completed, cached }: VertexEvent): 'queued' | 'running' | 'ended' {
  if (completed !== undefined || cached === true) return 'ended';
  return started === undefined ? 'queued' : 'running';
}

function outcomeOf({ cached, error, cancelled }: VertexEvent): string {
  if (cancelled === true) return 'cancelled';
  if (error !== undefined) return 'failed';
  return cached === true ? 'cached' : 'ran';
}
