import type { BuildView } from '../../history/build-view.ts';
import { tookMs } from './step-words.ts';

export interface TimelineChoice {
  readonly text: string;
  readonly onlyCritical: boolean;
  readonly hidesCached: boolean;
  readonly showsInternal: boolean;
  /** The stages of which only a line is shown. -1 stands for steps of no stage. */
  readonly closed: ReadonlySet<number>;
}

/** The share of a build from which on an internal step is worth a row. */
const LONG_INTERNAL = 0.03;

export type TimelineRow =
  | {
      readonly kind: 'stage';
      readonly stage: number;
      readonly name: string;
      readonly steps: readonly number[];
      readonly isOpen: boolean;
    }
  | { readonly kind: 'step'; readonly step: number; readonly stage: number };

/** The rows of a time line: each stage in the order in which it is announced, with its steps. */
export function timelineRows(view: BuildView, choice: TimelineChoice): TimelineRow[] {
  const critical = new Set(view.criticalPath);
  const wanted = choice.text.trim().toLowerCase();
  const now = view.ended ?? Date.now();
  /** Internal steps are shown when they are a part of why the build took so long. */
  const isLong = (index: number) =>
    critical.has(index) &&
    (tookMs(view.steps[index]!, now) ?? 0) > (now - view.started) * LONG_INTERNAL;
  const stages = new Map<number, number[]>();
  for (const [index, step] of view.steps.entries()) {
    if (step.isInternal && !choice.showsInternal && !isLong(index)) continue;
    if (choice.onlyCritical && !critical.has(index)) continue;
    if (choice.hidesCached && step.state === 'cached') continue;
    if (wanted !== '' && !step.name.toLowerCase().includes(wanted)) continue;
    const stage = step.stage ?? -1;
    const steps = stages.get(stage);
    if (steps) steps.push(index);
    else stages.set(stage, [index]);
  }
  const hasOne = stages.size === 1;
  return [...stages].flatMap(([stage, steps]): TimelineRow[] => {
    const isOpen = hasOne || !choice.closed.has(stage);
    const header = { kind: 'stage' as const, stage, name: stageName(view, stage), steps, isOpen };
    return [
      header,
      ...(isOpen ? steps.map((step) => ({ kind: 'step' as const, step, stage })) : []),
    ];
  });
}

export function stageName({ stages }: BuildView, stage: number): string {
  const found = stages[stage];
  if (!found) return 'context, sources and outputs';
  const name = found.name === '' ? 'the only stage' : found.name;
  return found.platform === undefined ? name : `${name} · ${found.platform}`;
}

/** Where a stage begins and ends, and how much of its time its steps took. */
export function stageSpan(
  view: BuildView,
  steps: readonly number[],
  now: number,
): { readonly from: number; readonly to: number; readonly busy: number } | undefined {
  const begun = steps.map((index) => view.steps[index]!).filter((step) => step.started);
  if (begun.length === 0) return undefined;
  return {
    from: begun.reduce((least, step) => Math.min(least, step.started!), Number.POSITIVE_INFINITY),
    to: begun.reduce((most, step) => Math.max(most, step.ended ?? now), 0),
    busy: begun.reduce((sum, step) => sum + (tookMs(step, now) ?? 0), 0),
  };
}
