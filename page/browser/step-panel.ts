import { bytes } from '../../base/units.ts';
import type { BuildView, StepView } from '../../history/build-view.ts';
import type { LastRun } from '../../history/last-run.ts';
import { agoText, durationText, momentText, percentText } from './amounts.ts';
import { seenText } from './ansi.ts';
import { button, h } from './dom.ts';
import { brief, visible } from './hostile-text.ts';
import { seenParts } from './key-text.ts';
import type { BuildContextOfPage } from './page-context.ts';
import { placeText } from './page-place.ts';
import {
  endOf,
  LOOK_WORDS,
  lookOf,
  PHASE_WORDS,
  shortName,
  stepNumber,
  tookMs,
} from './step-words.ts';

/** How many lines of a Dockerfile are shown around those of an instruction. */
const AROUND = 3;
const SHOWN = 5000;

/** What is known of one step: times, the reason of its miss, its lines, the parts of its key. */
export function stepPanel(context: BuildContextOfPage, index: number): HTMLElement {
  const view = context.view();
  const step = view.steps[index]!;
  const look = lookOf(step);
  const isCritical = view.criticalPath.includes(index);
  return h(
    'div',
    { class: 'step-panel' },
    h(
      'header',
      {},
      h('span', { class: `badge look-${look}` }, LOOK_WORDS[look]),
      isCritical && h('span', { class: 'badge critical' }, 'critical path'),
      h('span', { class: 'muted' }, brief(stepNumber(step), 60)),
      button('×', () => context.select(undefined), { 'aria-label': 'Close', class: 'close' }),
    ),
    h('h2', {}, brief(shortName(step), 300)),
    step.error !== undefined &&
      h('p', { class: 'error-text' }, visible(seenText(step.error.slice(0, SHOWN)))),
    step.miss !== undefined &&
      h(
        'p',
        { class: 'reason' },
        h('strong', {}, 'Not cached: '),
        `${brief(step.miss, 600).replace(/\.$/, '')}.`,
      ),
    look === 'cached' &&
      h('p', { class: 'reason' }, 'Cached: an earlier build has made the same from the same.'),
    factsOf(view, step, index),
    phasesOf(view, step),
    h(
      'p',
      { class: 'buttons' },
      step.log.lines > 0 &&
        button(`Log (${step.log.lines} lines)`, () => context.show('log', index)),
      button('In the timeline', () => context.show('timeline', index)),
      button('In the graph', () => context.show('graph', index)),
    ),
    dockerfileLines(view, step),
    look === 'cached' && !step.key ? lastRunOf(context, index) : keyParts(step.key),
    transfersOf(step),
    inputsOf(context, step),
  );
}

function factsOf(view: BuildView, step: StepView, index: number): HTMLElement {
  const now = endOf(view);
  const took = tookMs(step, now);
  const before = step.inputs
    .map((input) => view.steps[input])
    .filter((input) => input?.ended !== undefined)
    .sort((a, b) => b!.ended! - a!.ended!)[0];
  const facts: [string, string | undefined][] = [
    ['Took', took === undefined ? undefined : durationText(took)],
    ['Share of the build', took ? percentText(took, now - view.started) : undefined],
    ['Began', step.started === undefined ? undefined : momentText(step.started - view.started)],
    ['Could begin after', before && brief(before.name, 80)],
    ['Would save', step.wouldSave > 0 ? `${durationText(step.wouldSave)} if cached` : undefined],
    ['CPU time', step.cpu === undefined ? undefined : durationText(step.cpu)],
    ['Largest memory', step.peakMemory ? bytes(step.peakMemory) : undefined],
    ['Worker', step.worker && `${step.worker.name}: ${step.worker.reason}`],
    ['Platform', view.stages[step.stage ?? -1]?.platform],
    ['Step', `${index + 1} of ${view.steps.length}`],
  ];
  return h(
    'dl',
    { class: 'facts' },
    facts.flatMap(([name, value]) =>
      value === undefined ? [] : [h('div', {}, h('dt', {}, name), h('dd', {}, brief(value, 200)))],
    ),
  );
}

function phasesOf(view: BuildView, step: StepView): HTMLElement | false {
  const now = endOf(view);
  if (step.phases.length === 0) return false;
  return h(
    'ul',
    { class: 'phases' },
    step.phases.map(({ kind, from, to = now }) =>
      h(
        'li',
        {},
        h('i', { class: `key bar phase-${kind}` }),
        `${PHASE_WORDS[kind]}: ${durationText(to - from)}`,
      ),
    ),
  );
}

function dockerfileLines(view: BuildView, { lines }: StepView): HTMLElement | false {
  const source = lines && view.sources[lines.source];
  if (!lines || !source) return false;
  const all = source.text.split('\n');
  const first = Math.max(1, lines.start - AROUND);
  const last = Math.min(all.length, lines.end + AROUND);
  const range =
    lines.end > lines.start ? `lines ${lines.start}–${lines.end}` : `line ${lines.start}`;
  return h(
    'section',
    {},
    h('h3', {}, `${brief(source.name, 80)}, ${range}`),
    h(
      'pre',
      { class: 'source', tabindex: 0, 'aria-label': 'Lines of the Dockerfile' },
      all.slice(first - 1, last).map((text, index) => {
        const number = first + index;
        const isOwn = number >= lines.start && number <= lines.end;
        return h(
          isOwn ? 'mark' : 'span',
          { class: 'source-line' },
          h('span', { class: 'line-number' }, number),
          `${visible(text.slice(0, SHOWN))}\n`,
        );
      }),
    ),
  );
}

function keyParts(key: StepView['key'], title = 'Its cache key is made of'): HTMLElement | false {
  const seen = seenParts(key ?? []);
  if (seen.length === 0) return false;
  return h(
    'section',
    {},
    h('h3', {}, title),
    h(
      'dl',
      { class: 'key-parts' },
      seen.map(({ name, value }) =>
        h('div', {}, h('dt', {}, brief(name)), h('dd', {}, brief(value, 500))),
      ),
    ),
  );
}

/** What is known of a cached step is in the record of the build in which it ran last. */
function lastRunOf({ data, view }: BuildContextOfPage, index: number): HTMLElement {
  const part = h('div', { class: 'last-run' });
  const show = (run: LastRun | undefined) => {
    if (!run) return;
    const { build, started, took, miss, key } = run;
    const shown = keyParts(key, 'Its cache key was made of');
    const link = h('a', { href: placeText({ kind: 'build', id: build, tab: 'timeline' }) }, build);
    part.append(
      h('h3', {}, 'When it ran last'),
      h('p', {}, `${agoText(started)} it took ${durationText(took)}, in `, link, '.'),
      ...(miss === undefined ? [] : [h('p', {}, `It ran because ${brief(miss, 600)}.`)]),
      ...(shown ? [shown] : []),
    );
  };
  // A page that cannot ask shows what it has.
  data.lastRun(view().id, index).then(show, () => {});
  return part;
}

function transfersOf({ transfers }: StepView): HTMLElement | false {
  if (transfers.length === 0) return false;
  return h(
    'section',
    {},
    h('h3', {}, 'Transfers'),
    h(
      'ul',
      { class: 'plain' },
      transfers
        .slice(0, 100)
        .map(({ name, current, total }) =>
          h('li', {}, `${brief(name, 90)} `, h('span', { class: 'muted' }, amount(current, total))),
        ),
    ),
  );
}

function amount(current: number, total: number): string {
  return total > 0 && total !== current ? `${bytes(current)} of ${bytes(total)}` : bytes(current);
}

function inputsOf(context: BuildContextOfPage, { inputs }: StepView): HTMLElement | false {
  const { steps } = context.view();
  if (inputs.length === 0) return false;
  return h(
    'section',
    {},
    h('h3', {}, 'Needs'),
    h(
      'ul',
      { class: 'plain' },
      inputs.map((input) =>
        h(
          'li',
          {},
          button(brief(steps[input]?.name ?? '', 90), () => context.select(input), {
            class: 'link',
          }),
        ),
      ),
    ),
  );
}
