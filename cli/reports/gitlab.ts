import { bytes } from '../../base/units.ts';
import type { BuildView } from '../../history/build-view.ts';
import { seconds } from '../progress/seconds.ts';
import { table } from '../table.ts';
import { sizeChange } from './markdown.ts';
import { sizeOfResult, stepRows } from './step-rows.ts';

/** The summary of a build as sections of GitLab's job log, which are closed at first. */
export function gitlabSummary(view: BuildView, last: BuildView | undefined, now: number): string {
  const rows = stepRows(view);
  const missed = rows.filter(({ miss }) => miss !== undefined);
  const size = sizeOfResult(view);
  const steps = table([
    ['STEP', 'STATE', 'TIME', 'CRITICAL'],
    ...rows.map(({ name, state, time, isCritical }) => [
      printable(name),
      state,
      time === undefined ? '' : seconds(time),
      isCritical ? 'yes' : '',
    ]),
  ]);
  return [
    section(view, 'steps', 'Steps, their times and what was cached', now, steps),
    ...(missed.length === 0
      ? []
      : [
          section(
            view,
            'misses',
            `Why ${missed.length} ${missed.length === 1 ? 'step was' : 'steps were'} not cached`,
            now,
            missed
              .map(({ name, miss }) => `${printable(name)}: ${printable(miss ?? '')}\n`)
              .join(''),
          ),
        ]),
    ...(size === undefined ? [] : [`image: ${bytes(size)}${sizeChange(size, last)}\n`]),
  ].join('');
}

/** The mark that begins a section of a job log, and the mark that ends it. */
export function sectionMarks(
  name: string,
  title: string,
  isCollapsed: boolean,
): { readonly begin: (now: number) => string; readonly end: (now: number) => string } {
  const time = (now: number) => Math.floor(now / 1000);
  const option = isCollapsed ? '[collapsed=true]' : '';
  return {
    begin: (now) => `\u001b[0Ksection_start:${time(now)}:${name}${option}\r\u001b[0K${title}\n`,
    end: (now) => `\u001b[0Ksection_end:${time(now)}:${name}\r\u001b[0K\n`,
  };
}

function section(
  { id }: BuildView,
  part: string,
  title: string,
  now: number,
  text: string,
): string {
  const { begin, end } = sectionMarks(
    `kiln_${part}_${id.replace(/[^0-9a-z]/gi, '_')}`,
    title,
    true,
  );
  return `${begin(now)}${text}${end(now)}`;
}

/** A text of a build cannot begin or end a section, nor another line. */
function printable(text: string): string {
  return text.replace(/\p{C}+/gu, ' ');
}
