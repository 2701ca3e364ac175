import type { StepView } from './build-view.ts';

/** When a step that was cached ran last. */
export interface LastRun {
  readonly build: string;
  /** Milliseconds since 1970. */
  readonly started: number;
  /** How long it took, in milliseconds. */
  readonly took: number;
  /** Why it ran then. */
  readonly miss?: string;
  /** The parts of its key then. */
  readonly key?: StepView['key'];
}
