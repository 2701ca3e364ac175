import { cutToCells, padToCells } from '../../base/cells.ts';
import type { BuildView, StepView } from '../../history/build-view.ts';
import { oneLine } from '../terminal/text.ts';
import { timeTaken } from './words.ts';

/** How the phases of a step are drawn. */
const MARKS = { waiting: '·', fetching: '▒', running: '█', committing: '▓' } as const;
const NARROWEST_BAR = 10;
const TIME_WIDTH = 8;
/** Steps that took less are drawn when they are on the critical path. Milliseconds. */
const SHORT = 10;

/**
 * Draws when each step ran, in lines of so many cells. Steps of the critical path have a `*`.
 * Those that took no time are counted below.
 */
export function timeline(view: BuildView, columns: number, now = Date.now()): string {
  const { steps, started, ended = now } = view;
  const critical = new Set(view.criticalPath);
  const drawn = [...steps.keys()].filter((index) => {
    const step = steps[index]!;
    if (step.started === undefined) return false;
    return step.state === 'failed' || (step.ended ?? ended) - step.started >= SHORT;
  });
  if (drawn.length === 0) return '';
  const names = Math.max(...drawn.map((index) => Math.min(60, steps[index]!.name.length)));
  const room = columns - TIME_WIDTH - 4;
  const nameWidth = Math.max(8, Math.min(names, Math.floor(room * 0.5)));
  const barWidth = Math.max(NARROWEST_BAR, room - nameWidth);
  const scale = { from: started, perCell: Math.max(1, ended - started) / barWidth, barWidth };
  const lines = drawn.map((index) => {
    const step = steps[index]!;
    const name = padToCells(cutToCells(oneLine(step.name), nameWidth), nameWidth);
    const taken = timeTaken((step.ended ?? ended) - (step.started ?? ended));
    const mark = step.state === 'failed' ? '!' : critical.has(index) ? '*' : ' ';
    return `${mark} ${name} ${bar(step, scale, ended)} ${taken.padStart(TIME_WIDTH - 1)}\n`;
  });
  const cached = steps.filter(({ state }) => state === 'cached').length;
  const others = steps.length - drawn.length - cached;
  const rest = [
    ...(cached > 0 ? [`${cached} cached`] : []),
    ...(others > 0 ? [`${others} that took no time or did not run`] : []),
  ];
  return (
    `${lines.join('')}` +
    `${MARKS.running} runs  ${MARKS.fetching} fetches  ${MARKS.committing} makes its layer  ` +
    `${MARKS.waiting} waits  * decides how long the build takes\n` +
    (rest.length > 0 ? `Not drawn: ${rest.join(', ')}\n` : '')
  );
}

function bar(
  { phases, started, ended }: StepView,
  scale: { readonly from: number; readonly perCell: number; readonly barWidth: number },
  now: number,
): string {
  const cells = Array.from({ length: scale.barWidth }, () => ' ');
  const all =
    phases.length > 0
      ? phases
      : [{ kind: 'running' as const, from: started ?? now, to: ended ?? now }];
  for (const { kind, from, to = now } of all) {
    const first = Math.min(scale.barWidth - 1, Math.floor((from - scale.from) / scale.perCell));
    const last = Math.max(first, Math.ceil((to - scale.from) / scale.perCell) - 1);
    for (let at = Math.max(0, first); at <= last && at < scale.barWidth; at++)
      if (kind !== 'waiting' || cells[at] === ' ') cells[at] = MARKS[kind];
  }
  return cells.join('');
}
