import type { BuildView, StepView } from '../../history/build-view.ts';

/** A step as a table of a summary shows it. */
export interface StepRow {
  readonly name: string;
  /** `cached`, `ran`, `failed`, `cancelled` or `not run`. */
  readonly state: string;
  /** In milliseconds. Undefined for a step that did not run. */
  readonly time: number | undefined;
  /** Why it was not cached. */
  readonly miss: string | undefined;
  readonly isCritical: boolean;
}

const STATES: Readonly<Record<StepView['state'], string>> = {
  waiting: 'not run',
  running: 'not ended',
  cached: 'cached',
  done: 'ran',
  failed: 'failed',
  cancelled: 'cancelled',
};

/** The steps of the Dockerfile and the exports, in the order in which they began. */
export function stepRows(view: BuildView): readonly StepRow[] {
  const critical = new Set(view.criticalPath);
  return view.steps
    .map((step, index) => ({ step, index }))
    .filter(({ step }) => !step.isInternal)
    .sort((a, b) => startOf(a.step) - startOf(b.step) || a.index - b.index)
    .map(({ step, index }) => ({
      name: step.name,
      state: STATES[step.state],
      time:
        step.started === undefined || step.ended === undefined
          ? undefined
          : Math.max(0, step.ended - step.started),
      miss: step.miss,
      isCritical: critical.has(index),
    }));
}

/** A step that never began comes last. */
function startOf({ started }: StepView): number {
  return started ?? Number.MAX_SAFE_INTEGER;
}

/** The size of the image that a build made, in bytes. Undefined when it is not known. */
export function sizeOfResult({ outputs }: BuildView): number | undefined {
  const sizes = outputs.flatMap(({ size }) => size ?? []);
  return sizes.length > 0 ? sizes.reduce((a, b) => a + b) : undefined;
}

/** How long a build took, in milliseconds. */
export function spanOf({ started, ended = started }: BuildView): number {
  return Math.max(0, ended - started);
}
