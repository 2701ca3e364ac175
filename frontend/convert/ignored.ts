import type { Step } from './step.ts';

/** Warns of a source that `.dockerignore` keeps out of the context. */
export function warnIgnored(_step: Step, _isAdd: boolean, _source: string): void {}
