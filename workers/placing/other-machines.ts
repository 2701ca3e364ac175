import type { Digest } from '../../base/digest.ts';
import type { BuildWithWorkers, OtherWorkers } from '../../builder/other-workers.ts';
import type { LlbVertex } from '../../solver/llb/graph.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { AskedElsewhere, Elsewhere, Vertex } from '../../solver/solver.ts';
import type { Asking } from './asking.ts';
import { movingMs } from './moving.ts';
import { StepPlacement } from './placement.ts';
import type { Machines } from './pool.ts';

/**
 * Other machines, which are reached by pools in this order. The pools are opened, and all that
 * talks to machines is loaded, when the first step may go to one: a build that stays here pays for
 * nothing.
 */
export function otherMachines(open: () => Promise<Machines>): OtherWorkers {
  let machines: Promise<Machines> | undefined;
  return {
    forBuild: (build) => new Sending(build, () => (machines ??= open())),
    async [Symbol.asyncDispose]() {
      for (const pool of (await machines)?.pools ?? []) await pool[Symbol.asyncDispose]();
    },
  };
}

/** What one build sends to other machines. */
class Sending implements Elsewhere<BuildResult>, AsyncDisposable {
  readonly #build: BuildWithWorkers;
  readonly #machines: () => Promise<Machines>;
  readonly #placement: StepPlacement;
  readonly #told = new Set<Digest>();
  readonly #over = new AbortController();
  #asking: Promise<Asking> | undefined;

  constructor(build: BuildWithWorkers, machines: () => Promise<Machines>) {
    this.#build = build;
    this.#machines = machines;
    this.#placement = new StepPlacement(build);
  }

  takes(vertex: Vertex<BuildResult>): boolean {
    return this.#placement.reasonFor(vertex) !== undefined;
  }

  hasTold(vertex: Digest): boolean {
    return this.#told.has(vertex);
  }

  async solve(asked: AskedElsewhere<BuildResult>): Promise<readonly BuildResult[] | undefined> {
    const vertex = asked.vertex.origin as LlbVertex;
    const reason = this.#placement.reasonFor(asked.vertex);
    if (!reason || this.#placement.keepsHere(vertex, reason)) return undefined;
    if (
      reason.kind === 'expensive' &&
      reason.costMs < (await movingMs(asked, this.#build.services))
    )
      return undefined;
    const signal = AbortSignal.any([asked.signal, this.#over.signal]);
    this.#asking ??= this.#open();
    const snapshot = await (await this.#asking).ask(asked, reason, signal);
    return snapshot && [{ kind: 'snapshot', snapshot }];
  }

  async #open(): Promise<Asking> {
    const { Asking } = await import('./asking.ts');
    return new Asking(this.#build, await this.#machines(), this.#told);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
  }
}
