import type { Digest } from '../../base/digest.ts';
import type { ProgressEvent } from '../../base/progress.ts';

/** The name of a step of a Dockerfile: `[2/3] RUN make`, `[linux/arm64 build 1/2] FROM x`. */
export const STEP_NAME = /^\[(?:[^\]]* )?\d+\/\d+\] /;

/** How many steps a build has, as the last line of its log says it. */
export interface ToldCounts {
  /** Steps of the Dockerfile; internal ones are not counted. */
  readonly steps: number;
  /** Those that have ended, also by failing. */
  readonly completed: number;
  readonly cached: number;
  readonly failed: number;
  readonly warnings: number;
}

const COMPLETED = 1;
const CACHED = 2;
const FAILED = 4;

/** Counts the steps of a build while it runs, so that a list of builds need not read their logs. */
export class StepCounts {
  readonly #steps = new Map<Digest, number>();
  #warnings = 0;

  event(event: ProgressEvent): void {
    if (event.kind === 'warning') this.#warnings++;
    if (event.kind !== 'vertex') return;
    const known = this.#steps.get(event.vertex);
    if (known === undefined && !STEP_NAME.test(event.name)) return;
    const { completed, cached, error, cancelled } = event;
    this.#steps.set(
      event.vertex,
      (known ?? 0) |
        (completed === undefined ? 0 : COMPLETED) |
        (cached ? CACHED : 0) |
        (error === undefined || cancelled ? 0 : FAILED),
    );
  }

  told(): ToldCounts {
    const states = [...this.#steps.values()];
    const count = (flag: number) => states.filter((state) => state & flag).length;
    return {
      steps: states.length,
      completed: count(COMPLETED),
      cached: count(CACHED),
      failed: count(FAILED),
      warnings: this.#warnings,
    };
  }
}
