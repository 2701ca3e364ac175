import type { BuildView, StepView } from './build-view.ts';
import type { LastRun } from './last-run.ts';
import { listBuilds } from './list-builds.ts';
import { OpenRecord } from './read-build.ts';

/** So many earlier records are read. */
const MOST = 30;

/**
 * Finds when the cached steps of a build ran last, by their indexes. A step that is cached tells
 * nothing of its key, because that would cost each cached build. The record of an earlier build
 * does. Steps are the same when their names are, but for their numbers, and their stages.
 */
export function lastRuns(directory: string, view: BuildView): ReadonlyMap<number, LastRun> {
  const wanted = new Map(
    view.steps.flatMap((step, index): [string, number][] =>
      step.state === 'cached' ? [[identityOf(view, step), index]] : [],
    ),
  );
  const found = new Map<number, LastRun>();
  const earlier = listBuilds(directory).filter(
    ({ id, started, state }) => id !== view.id && started <= view.started && state !== 'damaged',
  );
  for (const { id } of earlier.slice(0, MOST)) {
    if (wanted.size === 0) break;
    const older = readView(directory, id);
    for (const step of older?.steps ?? []) {
      const { state, started, ended, miss, key } = step;
      if (!older || state !== 'done' || started === undefined || ended === undefined) continue;
      const identity = identityOf(older, step);
      const index = wanted.get(identity);
      if (index === undefined) continue;
      wanted.delete(identity);
      found.set(index, {
        ...{ build: id, started, took: ended - started },
        ...(miss !== undefined && { miss }),
        ...(key && { key }),
      });
    }
  }
  return found;
}

function identityOf(view: BuildView, { name, stage }: StepView): string {
  const { platform, name: own } = view.stages[stage ?? -1] ?? {};
  return JSON.stringify([platform, own, name.replace(/^\[[^\]]*\] /, '')]);
}

function readView(directory: string, id: string): BuildView | undefined {
  try {
    using opened = new OpenRecord(directory, id);
    return opened.view();
  } catch {
    // It was removed meanwhile, or the list says what is wrong with it.
    return undefined;
  }
}
