import { stepsWithLog } from '../log-search.ts';
import type { ShownLine } from '../shown-line.ts';
import { durationText, momentText } from './amounts.ts';
import { seenText, styledPieces } from './ansi.ts';
import { button, h, place } from './dom.ts';
import { brief } from './hostile-text.ts';
import type { BuildContextOfPage, BuildTab } from './page-context.ts';
import { endOf, LOOK_WORDS, lookOf, shortName, stepNumber, tookMs } from './step-words.ts';
import { VirtualRows } from './virtual-rows.ts';

/** How many lines are asked for at once. */
const BLOCK = 500;
/** How many blocks are kept. */
const BLOCKS = 60;

/** The log of each step, failures first. */
export function logTab(context: BuildContextOfPage): BuildTab {
  return new LogTab(context);
}

class LogTab implements BuildTab {
  readonly element: HTMLElement;
  readonly #context: BuildContextOfPage;
  readonly #steps: VirtualRows;
  readonly #lines: VirtualRows;
  readonly #title = h('h2', {});
  readonly #more = h('a', { class: 'button', hidden: true }, 'Whole log as text');
  readonly #search = h('input', {
    type: 'search',
    placeholder: 'Search in all logs',
    'aria-label': 'Search in all logs',
  });
  readonly #found = h('span', { class: 'sum', role: 'status' });
  #order: readonly number[] = [];
  #step: number | undefined;
  #marked: number | undefined;
  #blocks = new Map<number, readonly ShownLine[] | 'asked'>();
  #matches: readonly (readonly [number, number])[] = [];
  #match = -1;
  #wanted = '';
  #asked = 0;
  #follows = true;

  constructor(context: BuildContextOfPage) {
    this.#context = context;
    this.#steps = new VirtualRows({
      rowHeight: () => 44,
      row: (index) => this.#stepRow(index),
      attributes: { role: 'listbox', 'aria-label': 'Steps with a log, failed ones first' },
    });
    this.#lines = new VirtualRows({
      rowHeight: () => 20,
      row: (index) => this.#lineRow(index),
      seen: (first, last) => this.#load(first, last),
      attributes: { role: 'log', 'aria-label': 'Log', 'aria-live': 'off' },
    });
    this.#lines.element.classList.add('log-lines');
    this.#steps.element.addEventListener('keydown', (event) => this.#stepKey(event));
    this.#lines.element.addEventListener('keydown', (event) => this.#lineKey(event));
    const searchNow = () => void this.#find(this.#search.value);
    let timer: ReturnType<typeof setTimeout> | undefined;
    this.#search.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(searchNow, 250);
    });
    this.#search.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      if (this.#search.value !== this.#wanted) searchNow();
      else this.#toMatch(event.shiftKey ? -1 : 1);
    });
    this.element = h(
      'section',
      { class: 'log', 'aria-label': 'Log' },
      h(
        'div',
        { class: 'toolbar' },
        this.#search,
        button('↑', () => this.#toMatch(-1), { 'aria-label': 'Previous match' }),
        button('↓', () => this.#toMatch(1), { 'aria-label': 'Next match' }),
        this.#found,
      ),
      h(
        'div',
        { class: 'log-parts' },
        this.#steps.element,
        h(
          'div',
          { class: 'log-main' },
          h('header', {}, this.#title, this.#more),
          this.#lines.element,
        ),
      ),
    );
  }

  update(): void {
    const view = this.#context.view();
    this.#order = stepsWithLog(view);
    this.#steps.count = this.#order.length;
    if (this.#step === undefined && this.#order[0] !== undefined) this.#choose(this.#order[0]);
    if (this.#step === undefined) {
      this.#title.textContent = 'No step has written anything.';
      return;
    }
    const total = view.steps[this.#step]!.log.lines;
    if (total === this.#lines.count) return;
    const wasAtEnd = this.#lines.first + this.#lines.seenCount >= this.#lines.count - 2;
    this.#blocks.delete(Math.floor(this.#lines.count / BLOCK));
    this.#lines.count = total;
    if (wasAtEnd && this.#follows && view.state === 'running') this.#lines.scrollTo(total - 1);
  }

  reveal(step: number | undefined, line: number | undefined): void {
    if (step === undefined || !this.#context.view().steps[step]) return;
    if (step !== this.#step) this.#choose(step);
    const { log, state } = this.#context.view().steps[step]!;
    this.#marked = line;
    if (line !== undefined) this.#lines.scrollTo(line, 'center');
    else if (state === 'failed') this.#lines.scrollTo(log.lines - 1);
    this.#lines.refresh();
  }

  shown(): void {
    this.#steps.refresh();
    this.#lines.refresh();
  }

  #choose(step: number): void {
    const view = this.#context.view();
    const { log, state } = view.steps[step]!;
    this.#step = step;
    this.#marked = undefined;
    this.#blocks = new Map();
    this.#title.textContent = brief(view.steps[step]!.name, 120);
    const address = this.#context.data.logAddress(view.id, step);
    this.#more.hidden = address === undefined;
    if (address !== undefined) this.#more.href = address;
    this.#lines.count = log.lines;
    this.#lines.scrollTo(state === 'failed' ? log.lines - 1 : 0);
    this.#steps.refresh();
    const at = this.#order.indexOf(step);
    if (at >= 0) this.#steps.scrollTo(at);
    this.#steps.element.setAttribute('aria-activedescendant', `log-step-${step}`);
  }

  #stepRow(index: number): HTMLElement {
    const view = this.#context.view();
    const number = this.#order[index]!;
    const step = view.steps[number]!;
    const look = lookOf(step);
    const took = tookMs(step, endOf(view));
    return h(
      'div',
      {
        class: `log-step${number === this.#step ? ' current' : ''}`,
        role: 'option',
        id: `log-step-${number}`,
        'aria-selected': String(number === this.#step),
        title: brief(step.name, 500),
        onclick: () => this.#context.show('log', number),
      },
      h('span', { class: `dot look-${look}`, title: LOOK_WORDS[look] }),
      h('span', { class: 'name' }, brief(shortName(step))),
      h(
        'span',
        { class: 'muted' },
        `${brief(stepNumber(step), 40)} · ${LOOK_WORDS[look]} · ${step.log.lines} lines` +
          `${took === undefined ? '' : ` · ${durationText(took)}`}`,
      ),
    );
  }

  #lineRow(index: number): HTMLElement {
    const block = this.#blocks.get(Math.floor(index / BLOCK));
    const line = block === 'asked' ? undefined : block?.[index % BLOCK];
    const row = h('div', { class: 'log-line' });
    if (!line) {
      row.append(h('span', { class: 'line-number' }, index + 1));
      return row;
    }
    if (index === this.#marked) row.classList.add('marked');
    if (line.stream === 2) row.classList.add('stderr');
    const view = this.#context.view();
    row.append(
      h('span', { class: 'line-number' }, line.at ?? index + 1),
      h('span', { class: 'moment' }, momentText(line.time - view.started)),
      lineText(line, this.#wanted),
    );
    return row;
  }

  #load(first: number, last: number): void {
    const step = this.#step;
    if (step === undefined) return;
    const { id } = this.#context.view();
    for (let block = Math.floor(first / BLOCK); block * BLOCK < last; block++) {
      if (this.#blocks.has(block)) continue;
      this.#blocks.set(block, 'asked');
      const from = block * BLOCK;
      this.#context.data.lines(id, { step, from, count: BLOCK }).then(
        (lines) => {
          if (this.#step !== step) return;
          this.#blocks.set(block, lines);
          while (this.#blocks.size > BLOCKS)
            this.#blocks.delete(this.#blocks.keys().next().value as number);
          this.#lines.refresh();
        },
        () => this.#blocks.delete(block),
      );
    }
  }

  async #find(text: string): Promise<void> {
    this.#wanted = text;
    const asked = ++this.#asked;
    this.#matches = [];
    this.#match = -1;
    if (text === '') {
      this.#found.textContent = '';
      this.#lines.refresh();
      return;
    }
    this.#found.textContent = 'searching …';
    const view = this.#context.view();
    const { found, isCut } = await this.#context.data
      .search(view.id, text, undefined)
      .catch(() => ({ found: [], isCut: false }));
    if (asked !== this.#asked) return;
    this.#matches = found;
    this.#lines.refresh();
    if (found.length === 0) this.#found.textContent = 'not found';
    else this.#toMatch(1, isCut);
  }

  #toMatch(by: number, isCut = false): void {
    const { length } = this.#matches;
    if (length === 0) return;
    this.#match = (this.#match + by + length) % length;
    this.#found.textContent = `${this.#match + 1} of ${length}${isCut ? ' or more' : ''}`;
    const [step, line] = this.#matches[this.#match]!;
    this.#context.show('log', step, line);
  }

  #stepKey(event: KeyboardEvent): void {
    const at = this.#step === undefined ? -1 : this.#order.indexOf(this.#step);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.#order.length - 1 }[
      event.key
    ];
    const step = to === undefined ? undefined : this.#order[to];
    if (step === undefined) return;
    event.preventDefault();
    this.#context.show('log', step);
  }

  #lineKey(event: KeyboardEvent): void {
    const { first, seenCount, count } = this.#lines;
    const actions: Readonly<Record<string, number>> = {
      ArrowDown: first + seenCount,
      ArrowUp: first - 1,
      PageDown: first + 2 * seenCount - 1,
      PageUp: first - seenCount,
      Home: 0,
      End: count - 1,
    };
    const to = actions[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#lines.scrollTo(Math.min(Math.max(0, to), count - 1));
  }
}

/** A line with its colours, or with what is searched for marked in it. */
function lineText(line: ShownLine, wanted: string): HTMLElement {
  const end = line.cut ? [h('span', { class: 'cut' }, ` … ${line.cut} more characters`)] : [];
  const text = wanted === '' ? '' : seenText(line.text);
  const at = wanted === '' ? -1 : text.toLowerCase().indexOf(wanted.toLowerCase());
  if (at >= 0)
    return h(
      'span',
      { class: 'text' },
      text.slice(0, at),
      h('mark', {}, text.slice(at, at + wanted.length)),
      text.slice(at + wanted.length),
      end,
    );
  return h(
    'span',
    { class: 'text' },
    styledPieces(line.text).map(({ text, classes, color, background }) => {
      if (classes.length === 0 && !color && !background) return text;
      return place(h('span', { class: classes.join(' ') }, text), {
        ...(color && { color }),
        ...(background && { 'background-color': background }),
      });
    }),
    end,
  );
}
