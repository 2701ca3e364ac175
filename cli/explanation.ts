import type { ProgressEvent } from '../base/progress.ts';

/**
 * Returns a text that lists the steps of a build that ran, and why each was not cached. `events`
 * are the progress events of the whole build. Internal steps and exports are left out.
 */
export function renderExplanation(events: readonly ProgressEvent[]): string {
  const reasons = new Map<string, { name: string; reason: string }>();
  const cached = new Set<string>();
  for (const event of events) {
    if (event.kind === 'miss') reasons.set(event.vertex, event);
    else if (
      event.kind === 'vertex' &&
      event.cached &&
      !/^(\[internal\]|exporting |importing |pushing )/.test(event.name)
    )
      cached.add(event.vertex);
  }
  const hits = [...cached].filter((vertex) => !reasons.has(vertex)).length;
  if (reasons.size === 0)
    return hits === 0 ? 'no step ran\n' : `nothing ran: all ${hits} steps were cached\n`;
  const lines = [...reasons.values()].map(
    ({ name, reason }) => `  ${name.replace(/\s+/g, ' ')}\n      ${reason}\n`,
  );
  return (
    'why steps were not cached:\n' +
    `${lines.join('')}${reasons.size} ran, ${hits} ${hits === 1 ? 'was' : 'were'} cached\n`
  );
}
