import { bytes } from '../../base/units.ts';
import type { BuildView } from '../../history/build-view.ts';
import { seconds } from '../progress/seconds.ts';
import { type StepRow, sizeOfResult, spanOf, stepRows } from './step-rows.ts';

/** Tables with more rows are hard to read, and GitHub takes 1 MB for all of a job. */
const MOST_ROWS = 200;
const MOST_TEXT = 200;
const MOST_ERROR = 4000;

/**
 * The summary of a build as Markdown of GitHub: what it made, a table of its steps, and why steps
 * were not cached. `last` is the last build of the same name. Texts of the build cannot be markup.
 */
export function markdownSummary(view: BuildView, last: BuildView | undefined): string {
  const rows = stepRows(view);
  return [
    `### ${MARKS[view.state]} ${inline(view.name)}`,
    headline(view, last),
    ...(view.error ? [block(view.error.text)] : []),
    stepTable(rows),
    ...misses(rows),
    '',
  ].join('\n\n');
}

const MARKS: Readonly<Record<BuildView['state'], string>> = {
  running: '🔵',
  completed: '✅',
  failed: '❌',
  cancelled: '🚫',
  lost: '❓',
};

function headline(view: BuildView, last: BuildView | undefined): string {
  const { steps, cached, warnings } = view.counts;
  const digest = view.outputs.find((output) => output.digest !== undefined)?.digest;
  const size = sizeOfResult(view);
  return [
    `${view.state === 'completed' ? 'Built' : WORDS[view.state]} in ${seconds(spanOf(view))}`,
    `${cached} of ${steps} ${steps === 1 ? 'step' : 'steps'} cached`,
    ...(size === undefined ? [] : [`${bytes(size)}${sizeChange(size, last)}`]),
    ...(digest === undefined ? [] : [`\`${digest.slice(0, 19)}\``]),
    ...(warnings === 0 ? [] : [`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`]),
  ].join(' · ');
}

const WORDS: Readonly<Record<Exclude<BuildView['state'], 'completed'>, string>> = {
  running: 'Running',
  failed: 'Failed',
  cancelled: 'Cancelled',
  lost: 'Lost',
};

/** Says how the size has changed, in words that stay true when nothing did. */
export function sizeChange(size: number, last: BuildView | undefined): string {
  const before = last && sizeOfResult(last);
  if (before === undefined) return '';
  if (before === size) return ' (as large as the last one)';
  const percent = before === 0 ? '' : `, ${((100 * Math.abs(size - before)) / before).toFixed(1)}%`;
  const more = size > before ? 'more' : 'less';
  return ` (${bytes(Math.abs(size - before))}${percent} ${more} than the last one)`;
}

function stepTable(rows: readonly StepRow[]): string {
  const shown = rows.slice(0, MOST_ROWS);
  const lines = shown.map(
    ({ name, state, time, isCritical }) =>
      `| ${inline(name)} | ${state} | ${time === undefined ? '' : seconds(time)} |` +
      ` ${isCritical ? 'yes' : ''} |`,
  );
  const left = rows.length - shown.length;
  return [
    '| step | state | time | on the critical path |',
    '|---|---|---:|---|',
    ...lines,
    ...(left > 0 ? [`| … and ${left} more | | | |`] : []),
  ].join('\n');
}

function misses(rows: readonly StepRow[]): string[] {
  const missed = rows.filter(({ miss }) => miss !== undefined).slice(0, MOST_ROWS);
  if (missed.length === 0) return [];
  const lines = missed.map(({ name, miss }) => `- ${inline(name)}: ${escaped(cut(miss ?? ''))}`);
  return [
    `<details><summary>Why ${missed.length} ` +
      `${missed.length === 1 ? 'step was' : 'steps were'} not cached</summary>`,
    lines.join('\n'),
    '</details>',
  ];
}

/** Code in a line. */
function inline(text: string): string {
  return `<code>${escaped(cut(text))}</code>`;
}

function block(text: string): string {
  return `<pre>${escaped(text.slice(0, MOST_ERROR))}</pre>`;
}

function cut(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT - 1)}…` : text;
}

/** Makes plain text of everything that means something in Markdown or HTML. */
function escaped(text: string): string {
  return text
    .replace(/[^\P{C}\n]/gu, ' ')
    .replace(/[^\p{L}\p{N} .,:;=/"'()+-]/gu, (character) => `&#${character.codePointAt(0)};`);
}
