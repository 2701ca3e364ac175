import type { ProgressEvent } from '../base/progress.ts';

/** Watches the builds of an engine, for metrics. It must not throw and must not block. */
export interface BuildObserver {
  /** A build begins. */
  begin(): BuildObservation;
}

/** One build that is watched. */
export interface BuildObservation {
  event(event: ProgressEvent): void;
  end(outcome: 'completed' | 'failed' | 'cancelled'): void;
}
