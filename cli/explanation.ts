import type { ProgressEvent } from '../base/progress.ts';

/**
 * Returns a text that lists the steps of a build that ran, why each was not cached, and where it
 * ran when that was another machine. `events` are the progress events of the whole build. Internal
 * steps and exports are left out.
 */
export function renderExplanation(events: readonly ProgressEvent[]): string {
  const reasons = new Map<string, { name: string; reason: string }>();
  const cached = new Set<string>();
  const placed = new Map<string, { name: string; where: string }>();
  for (const event of events) {
    if (event.kind === 'miss') reasons.set(event.vertex, event);
    else if (event.kind === 'placed') {
      const { vertex, name, worker, reason } = event;
      const where = worker === undefined ? reason : `runs on worker ${worker}: ${reason}`;
      placed.set(vertex, { name, where });
    } else if (
      event.kind === 'vertex' &&
      event.cached &&
      !/^(\[internal\]|exporting |importing |pushing )/.test(event.name)
    )
      cached.add(event.vertex);
  }
  // A worker also ran what the step stands on, for which nothing was looked up here.
  for (const [vertex, { name }] of placed)
    if (!reasons.has(vertex) && !/\] FROM /.test(name)) reasons.set(vertex, { name, reason: '' });
  const hits = [...cached].filter((vertex) => !reasons.has(vertex)).length;
  if (reasons.size === 0)
    return hits === 0 ? 'no step ran\n' : `nothing ran: all ${hits} steps were cached\n`;
  const lines = [...reasons].map(([vertex, { name, reason }]) => {
    const told = [reason, placed.get(vertex)?.where].filter(Boolean);
    return `  ${name.replace(/\s+/g, ' ')}\n${told.map((line) => `      ${line}\n`).join('')}`;
  });
  return (
    'why steps were not cached:\n' +
    `${lines.join('')}${reasons.size} ran, ${hits} ${hits === 1 ? 'was' : 'were'} cached\n`
  );
}
