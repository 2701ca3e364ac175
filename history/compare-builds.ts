import type {
  BuildComparison,
  ComparedBuild,
  ComparedStep,
  StepComparison,
} from './build-comparison.ts';
import type { BuildView, RequestView, StepView } from './build-view.ts';
import { instructionOf, stageOf } from './step-names.ts';

/** What is different between two builds. Internal steps are left out. */
export function compareBuilds(from: BuildView, to: BuildView): BuildComparison {
  const before = shownSteps(from);
  const after = shownSteps(to);
  const matched = matchSteps(from, before, to, after);
  const taken = new Set(matched.values());
  const steps = after.map((step): StepComparison => {
    const older = matched.get(step);
    if (older === undefined)
      return { name: to.steps[step]!.name, to: comparedStep(to, step), isRewritten: false };
    const [was, is] = [comparedStep(from, older), comparedStep(to, step)];
    return {
      name: to.steps[step]!.name,
      from: was,
      to: is,
      longer: is.duration - was.duration,
      isRewritten: instructionOf(was.name) !== instructionOf(is.name),
    };
  });
  const removed = before
    .filter((step) => !taken.has(step))
    .map((step) => ({
      name: from.steps[step]!.name,
      from: comparedStep(from, step),
      isRewritten: false,
    }));
  return {
    version: 1,
    from: comparedBuild(from, before),
    to: comparedBuild(to, after),
    steps: [...steps, ...removed],
    request: compareRequests(from.request, to.request),
  };
}

function shownSteps({ steps }: BuildView): number[] {
  return [...steps.keys()].filter((at) => !steps[at]!.isInternal);
}

/**
 * The step of the older build for each step of the newer one that has one: of the same instruction
 * in the same stage, or else at the same place of the stage among those that are left.
 */
function matchSteps(
  from: BuildView,
  before: readonly number[],
  to: BuildView,
  after: readonly number[],
): Map<number, number> {
  const matched = new Map<number, number>();
  const free = new Set(before);
  const pass = (keyOf: (view: BuildView, step: number) => string) => {
    const byKey = new Map<string, number[]>();
    for (const step of free) {
      const key = keyOf(from, step);
      byKey.set(key, [...(byKey.get(key) ?? []), step]);
    }
    for (const step of after) {
      if (matched.has(step)) continue;
      const older = byKey.get(keyOf(to, step))?.shift();
      if (older === undefined) continue;
      matched.set(step, older);
      free.delete(older);
    }
  };
  const nameOf = (view: BuildView, step: number) => view.steps[step]!.name;
  pass((view, step) => `${stageOf(nameOf(view, step))}\0${instructionOf(nameOf(view, step))}`);
  pass((view, step) => /^\[[^\]]*\]/.exec(nameOf(view, step))?.[0] ?? nameOf(view, step));
  return matched;
}

function comparedStep({ steps }: BuildView, step: number): ComparedStep {
  const { name, state, miss } = steps[step]!;
  return {
    step,
    name,
    isCached: state === 'cached',
    duration: stepDuration(steps[step]!),
    ...(miss !== undefined && { miss }),
  };
}

/** Milliseconds from the beginning to the end of a step; 0 for one that has not ended. */
export function stepDuration({ started, ended }: Pick<StepView, 'started' | 'ended'>): number {
  return started === undefined || ended === undefined ? 0 : Math.max(0, ended - started);
}

function comparedBuild(view: BuildView, steps: readonly number[]): ComparedBuild {
  return {
    id: view.id,
    name: view.name,
    ...(view.ended !== undefined && { duration: view.ended - view.started }),
    steps: steps.length,
    cached: steps.filter((step) => view.steps[step]!.state === 'cached').length,
  };
}

function compareRequests(from: RequestView, to: RequestView): BuildComparison['request'] {
  const [before, after] = [fieldsOf(from), fieldsOf(to)];
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((field) => {
    const [was, is] = [before.get(field), after.get(field)];
    if (was === is) return [];
    return [
      { field, ...(was !== undefined && { from: was }), ...(is !== undefined && { to: is }) },
    ];
  });
}

/** Each part of a request as text. Parts with names are told one by one. */
function fieldsOf(request: RequestView): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [field, value] of Object.entries(request) as [string, unknown][]) {
    if (typeof value === 'string') fields.set(field, value);
    else if (Array.isArray(value)) {
      if (value.length > 0) fields.set(field, value.join(', '));
    } else if (typeof value === 'object' && value !== null)
      for (const [name, part] of Object.entries(value))
        fields.set(`${field} ${name}`, String(part));
  }
  return fields;
}
