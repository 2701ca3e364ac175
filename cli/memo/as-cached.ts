import type { ProgressEvent } from '../../base/progress.ts';

/** An event of a log, with its line. */
export interface LoggedEvent {
  readonly event: ProgressEvent;
  readonly line: string;
}

/**
 * What the next build logs that finds everything made which this one has made: in the place of a
 * step that ran is one that was cached. Undefined when a step failed, or something was said that
 * the next build may not say.
 */
export function asCached(logged: readonly LoggedEvent[]): readonly LoggedEvent[] | undefined {
  const steps = new Set<string>();
  for (const { event } of logged)
    if (event.kind === 'vertex' && !isAboutBuild(event.name)) steps.add(event.vertex);
  const kept: LoggedEvent[] = [];
  let hasRun = false;
  for (const one of logged) {
    const { event } = one;
    if (event.kind === 'warning') {
      // What steps warn of is not known when they are cached.
      if (event.source === undefined || event.isUrgent || hasRun) return undefined;
      kept.push(one);
    } else if (event.kind === 'vertex') {
      if (event.error !== undefined) return undefined;
      const isSaidAgain =
        !steps.has(event.vertex) || event.cached === true || event.started === undefined;
      if (isSaidAgain) {
        kept.push(one);
        continue;
      }
      hasRun = true;
      if (event.completed !== undefined) kept.push(cachedAt(event.completed, one));
    } else if (event.kind === 'graph') {
      kept.push(one);
    } else if (event.kind === 'phase' || event.kind === 'placed') {
      if (!steps.has(event.vertex)) return undefined;
    } else if (event.kind === 'miss' || event.kind === 'log' || event.kind === 'status') {
      if (!steps.has(event.vertex)) {
        if (event.kind !== 'status') return undefined;
        kept.push(one);
      }
    } else return undefined;
  }
  return kept;
}

/** True for what every build does, however much of it is cached. */
function isAboutBuild(name: string): boolean {
  return name.startsWith('[internal]') || name === 'exporting to image';
}

function cachedAt(completed: number, { event, line }: LoggedEvent): LoggedEvent {
  const { usage: _, ...said } = JSON.parse(line) as Record<string, unknown>;
  const { usage: _usage, ...same } = event as ProgressEvent & { kind: 'vertex' };
  return {
    event: { ...same, started: completed, cached: true },
    line: JSON.stringify({ ...said, started: completed, cached: true }),
  };
}
