import type { BuildView, PhaseView, StepView } from '../../history/build-view.ts';

/** What a step looks like: its state, in which emulation shows. */
export type StepLook = StepView['state'] | 'emulated';

export const LOOK_WORDS: Readonly<Record<StepLook, string>> = {
  waiting: 'not started',
  running: 'running',
  cached: 'cached',
  done: 'ran',
  emulated: 'ran emulated',
  failed: 'failed',
  cancelled: 'cancelled',
};

export const PHASE_WORDS: Readonly<Record<PhaseView['kind'], string>> = {
  waiting: 'waiting for a free place',
  fetching: 'fetching',
  running: 'running',
  committing: 'writing the layer',
};

export function lookOf({ state, isEmulated }: StepView): StepLook {
  return state === 'done' && isEmulated ? 'emulated' : state;
}

/** How long a step has taken so far, in milliseconds. Undefined before it starts. */
export function tookMs({ started, ended }: StepView, now: number): number | undefined {
  return started === undefined ? undefined : Math.max(0, (ended ?? now) - started);
}

/** The moment up to which a build is known: its end, or now. */
export function endOf(view: BuildView, now = Date.now()): number {
  if (view.ended !== undefined) return view.ended;
  if (view.state === 'running') return Math.max(now, view.started);
  return view.steps.reduce((last, step) => Math.max(last, step.ended ?? 0), view.started);
}

/** The name of a step without its stage and number, such as `RUN make`. */
export function shortName({ name }: StepView): string {
  return name.replace(/^\[[^\]]*\] /, '');
}

/** The stage and number of a step, such as `build 2/3`. */
export function stepNumber({ name }: StepView): string {
  return /^\[([^\]]*)\] /.exec(name)?.[1] ?? '';
}
