import { bytes } from '../../base/units.ts';
import type { StepView } from '../../history/build-view.ts';
import { durationText } from './amounts.ts';
import { button, h, place } from './dom.ts';
import { brief, visible } from './hostile-text.ts';
import { overviewOf } from './overview.ts';
import type { BuildContextOfPage, BuildTab } from './page-context.ts';
import {
  endOf,
  LOOK_WORDS,
  lookOf,
  PHASE_WORDS,
  shortName,
  stepNumber,
  tookMs,
} from './step-words.ts';
import { panned, type TimeWindow, ticksOf, zoomed } from './time-window.ts';
import { stageSpan, type TimelineChoice, type TimelineRow, timelineRows } from './timeline-rows.ts';
import { VirtualRows } from './virtual-rows.ts';

/** A bar per step over time, by stage. */
export function timelineTab(context: BuildContextOfPage): BuildTab {
  return new Timeline(context);
}

const NARROW = matchMedia('(max-width: 720px)');
let made = 0;

class Timeline implements BuildTab {
  readonly element: HTMLElement;
  readonly #context: BuildContextOfPage;
  readonly #list: VirtualRows;
  readonly #ruler = h('div', { class: 'ruler', 'aria-hidden': 'true' });
  readonly #overview = h('div', { class: 'overview' });
  readonly #said = h('p', { class: 'sum', role: 'status' });
  readonly #id = `timeline-${made++}`;
  #choice: TimelineChoice = {
    text: '',
    onlyCritical: false,
    hidesCached: false,
    showsInternal: false,
    closed: new Set(),
  };
  #rows: readonly TimelineRow[] = [];
  #critical: ReadonlySet<number> = new Set();
  #now = Date.now();
  /** Undefined while the whole build is seen. */
  #window: TimeWindow | undefined;
  #current = 0;

  constructor(context: BuildContextOfPage) {
    this.#context = context;
    this.#list = new VirtualRows({
      rowHeight: () => (NARROW.matches ? 46 : 28),
      row: (index) => this.#row(index),
      attributes: { role: 'tree', 'aria-label': 'Steps over time' },
    });
    NARROW.addEventListener('change', () => this.update());
    this.element = h(
      'section',
      { class: 'timeline', 'aria-label': 'Timeline' },
      this.#toolbar(),
      legend(),
      this.#overview,
      h(
        'div',
        { class: 'tl-head', 'aria-hidden': 'true' },
        h('span', {}, 'Step'),
        h('span', { class: 'num' }, 'Time'),
        h('span', { class: 'num wide' }, 'CPU'),
        h('span', { class: 'num wide' }, 'Memory'),
        h('span', { class: 'num wide', title: 'By how much the build were shorter' }, 'Saves'),
        this.#ruler,
      ),
      this.#list.element,
    );
    this.#list.element.addEventListener('keydown', (event) => this.#key(event));
    this.#list.element.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    this.#ruler.addEventListener('wheel', (event) => this.#wheel(event, true), { passive: false });
    this.#list.element.addEventListener('pointerdown', (event) => this.#drag(event));
    this.#ruler.addEventListener('pointerdown', (event) => this.#drag(event));
    this.#ruler.addEventListener('dblclick', () => this.#look(undefined));
    new ResizeObserver(() => this.#drawScale()).observe(this.#ruler);
  }

  update(): void {
    const view = this.#context.view();
    this.#now = endOf(view);
    this.#critical = new Set(view.criticalPath);
    this.#rows = timelineRows(view, this.#choice);
    this.#current = Math.min(this.#current, Math.max(0, this.#rows.length - 1));
    const shown = this.#rows.filter(({ kind }) => kind === 'step').length;
    this.#said.textContent =
      shown === view.steps.length ? `${shown} steps` : `${shown} of ${view.steps.length} steps`;
    this.#list.count = this.#rows.length;
    this.#drawScale();
    this.#mark();
  }

  reveal(step: number | undefined): void {
    if (step === undefined) return;
    const find = () => this.#rows.findIndex((row) => row.kind === 'step' && row.step === step);
    let at = find();
    if (at < 0) {
      this.#choice = { ...this.#choice, text: '', onlyCritical: false, hidesCached: false };
      this.#choice = { ...this.#choice, showsInternal: true, closed: new Set() };
      this.#syncToolbar();
      this.update();
      at = find();
    }
    if (at < 0) return;
    this.#current = at;
    this.#list.scrollTo(at, 'center');
    this.#mark();
  }

  shown(): void {
    this.#list.refresh();
    this.#drawScale();
  }

  get #whole(): TimeWindow {
    const { started } = this.#context.view();
    return { from: started, to: Math.max(this.#now, started + 10) };
  }

  get #seen(): TimeWindow {
    return this.#window ?? this.#whole;
  }

  #look(window: TimeWindow | undefined): void {
    const { from, to } = this.#whole;
    const isAll = !window || window.to - window.from >= to - from - 0.5;
    this.#window = isAll ? undefined : window;
    this.#list.refresh();
    this.#drawScale();
    this.#mark();
  }

  #toolbar(): HTMLElement {
    const set = (change: Partial<TimelineChoice>) => {
      this.#choice = { ...this.#choice, ...change };
      this.update();
    };
    const check = (label: string, name: 'onlyCritical' | 'hidesCached' | 'showsInternal') =>
      h(
        'label',
        {},
        h('input', {
          type: 'checkbox',
          name,
          onchange: (event: Event) => set({ [name]: (event.target as HTMLInputElement).checked }),
        }),
        ` ${label}`,
      );
    const zoom = (factor: number) => this.#look(zoomed(this.#seen, this.#whole, factor));
    return h(
      'div',
      { class: 'toolbar' },
      h('input', {
        type: 'search',
        name: 'text',
        placeholder: 'Filter steps',
        'aria-label': 'Filter steps',
        oninput: (event: Event) => set({ text: (event.target as HTMLInputElement).value }),
      }),
      check('only critical path', 'onlyCritical'),
      check('hide cached', 'hidesCached'),
      check('internal steps', 'showsInternal'),
      this.#said,
      h(
        'span',
        { class: 'buttons' },
        button('−', () => zoom(2), { 'aria-label': 'Zoom out', title: 'Zoom out (−)' }),
        button('+', () => zoom(0.5), { 'aria-label': 'Zoom in', title: 'Zoom in (+)' }),
        button('Whole build', () => this.#look(undefined), { title: 'Show all (0)' }),
      ),
    );
  }

  #syncToolbar(): void {
    for (const input of this.element.querySelectorAll<HTMLInputElement>('.toolbar input'))
      if (input.type === 'checkbox')
        input.checked = this.#choice[input.name as 'onlyCritical'] === true;
      else input.value = this.#choice.text;
  }

  #row(index: number): HTMLElement {
    const row = this.#rows[index]!;
    const element = row.kind === 'stage' ? this.#stageRow(row) : this.#stepRow(row.step);
    element.id = `${this.#id}-${index}`;
    element.dataset['index'] = String(index);
    element.classList.toggle('current', index === this.#current);
    element.setAttribute('aria-selected', String(index === this.#current));
    return element;
  }

  #stageRow({ stage, name, steps, isOpen }: TimelineRow & { kind: 'stage' }): HTMLElement {
    const view = this.#context.view();
    const span = stageSpan(view, steps, this.#now);
    const track = h('div', { class: 'track', 'aria-hidden': 'true' });
    if (span) track.append(this.#bar('stage-bar', span.from, span.to));
    const time = span ? durationText(span.to - span.from) : '';
    return h(
      'div',
      {
        class: 'tl-row stage-row',
        role: 'treeitem',
        'aria-level': 1,
        'aria-expanded': String(isOpen),
        onclick: () => this.#toggle(stage),
      },
      h(
        'span',
        { class: 'name' },
        h('span', { class: 'twist', 'aria-hidden': 'true' }, isOpen ? '▾' : '▸'),
        brief(name),
        h('span', { class: 'unseen' }, `, ${steps.length} steps`),
      ),
      h('span', { class: 'num' }, time),
      h('span', { class: 'num wide' }),
      h('span', { class: 'num wide' }),
      h('span', { class: 'num wide' }),
      track,
    );
  }

  #stepRow(index: number): HTMLElement {
    const step = this.#context.view().steps[index]!;
    const look = lookOf(step);
    const isCritical = this.#critical.has(index);
    const took = tookMs(step, this.#now);
    const time = took === undefined ? '' : durationText(took);
    const track = h('div', { class: 'track', 'aria-hidden': 'true' });
    this.#drawBars(track, step, isCritical);
    const words = [LOOK_WORDS[look], isCritical ? 'on the critical path' : ''].filter(Boolean);
    return h(
      'div',
      {
        class: `tl-row step-row look-${look}${isCritical ? ' critical' : ''}`,
        role: 'treeitem',
        'aria-level': 2,
        title: visible(step.name.slice(0, 1000)),
      },
      h(
        'span',
        { class: 'name' },
        h('span', { class: `dot look-${look}` }),
        stepNumber(step) !== '' && h('span', { class: 'number' }, brief(stepNumber(step), 30)),
        brief(shortName(step)),
        h('span', { class: 'unseen' }, `, ${words.join(', ')}`),
      ),
      h('span', { class: 'num' }, time),
      h('span', { class: 'num wide' }, step.cpu === undefined ? '' : durationText(step.cpu)),
      h('span', { class: 'num wide' }, step.peakMemory ? bytes(step.peakMemory) : ''),
      h('span', { class: 'num wide' }, step.wouldSave > 0 ? durationText(step.wouldSave) : ''),
      track,
    );
  }

  #drawBars(track: HTMLElement, step: StepView, isCritical: boolean): void {
    const { started, ended = this.#now } = step;
    if (started === undefined) return;
    if (isCritical) track.append(this.#bar('critical-bar', started, ended));
    const look = lookOf(step);
    if (step.phases.length === 0) {
      track.append(this.#bar(`bar look-${look}`, started, ended));
      return;
    }
    for (const { kind, from, to = this.#now } of step.phases) {
      const bar = this.#bar(`bar phase-${kind} look-${look}`, from, to);
      bar.title = `${PHASE_WORDS[kind]}: ${durationText(to - from)}`;
      track.append(bar);
    }
  }

  #bar(kind: string, from: number, to: number): HTMLElement {
    const seen = this.#seen;
    const length = seen.to - seen.from;
    // What is far outside is cut: browsers do not draw elements of millions of pixels.
    const cut = (time: number) => Math.min(Math.max(time, seen.from - length), seen.to + length);
    const left = ((cut(from) - seen.from) / length) * 100;
    const width = ((cut(to) - cut(from)) / length) * 100;
    return place(h('div', { class: kind }), {
      left: `${left}%`,
      width: `max(${width}%, ${to >= seen.from && from <= seen.to ? 2 : 0}px)`,
    });
  }

  #drawScale(): void {
    const seen = this.#seen;
    const { started } = this.#context.view();
    const width = this.#ruler.clientWidth;
    const ticks = ticksOf(seen, started, width / 90);
    const left = (time: number) => `${((time - seen.from) / (seen.to - seen.from)) * 100}%`;
    this.#ruler.replaceChildren(
      ...ticks.map((time) =>
        place(h('span', { class: 'tick' }, durationText(time - started)), { left: left(time) }),
      ),
    );
    const first = ticks[0];
    const scale = width / (seen.to - seen.from);
    const step = ticks[1] !== undefined && first !== undefined ? (ticks[1] - first) * scale : width;
    place(this.element, {
      '--tick': `${Math.max(4, step)}px`,
      '--tick-from': `${first === undefined ? 0 : (first - seen.from) * scale}px`,
    });
    this.#overview.replaceChildren(
      overviewOf(this.#context.view(), this.#whole, this.#window, (window) => this.#look(window)),
    );
  }

  #toggle(stage: number): void {
    const closed = new Set(this.#choice.closed);
    if (!closed.delete(stage)) closed.add(stage);
    this.#choice = { ...this.#choice, closed };
    this.update();
  }

  #mark(): void {
    for (const row of this.#list.element.querySelectorAll('.tl-row')) {
      const isCurrent = (row as HTMLElement).dataset['index'] === String(this.#current);
      row.classList.toggle('current', isCurrent);
      row.setAttribute('aria-selected', String(isCurrent));
    }
    const { element } = this.#list;
    if (this.#list.rowAt(this.#current))
      element.setAttribute('aria-activedescendant', `${this.#id}-${this.#current}`);
    else element.removeAttribute('aria-activedescendant');
  }

  #moveTo(index: number): void {
    this.#current = Math.min(Math.max(0, index), this.#rows.length - 1);
    this.#list.scrollTo(this.#current);
    this.#mark();
  }

  #open(index: number): void {
    const row = this.#rows[index];
    if (row?.kind === 'step') this.#context.select(row.step);
    else if (row) this.#toggle(row.stage);
  }

  #key(event: KeyboardEvent): void {
    const seen = this.#seen;
    const row = this.#rows[this.#current];
    const page = this.#list.seenCount;
    const pan = (part: number) => this.#look(panned(seen, this.#whole, part));
    const actions: Readonly<Record<string, () => void>> = {
      ArrowDown: () => this.#moveTo(this.#current + 1),
      ArrowUp: () => this.#moveTo(this.#current - 1),
      PageDown: () => this.#moveTo(this.#current + page),
      PageUp: () => this.#moveTo(this.#current - page),
      Home: () => this.#moveTo(0),
      End: () => this.#moveTo(this.#rows.length - 1),
      Enter: () => this.#open(this.#current),
      ' ': () => this.#open(this.#current),
      ArrowRight: () => {
        if (event.shiftKey) pan(0.2);
        else if (row?.kind === 'stage' && !row.isOpen) this.#toggle(row.stage);
      },
      ArrowLeft: () => {
        if (event.shiftKey) pan(-0.2);
        else if (row?.kind === 'stage' && row.isOpen) this.#toggle(row.stage);
        else if (row?.kind === 'step')
          this.#moveTo(
            this.#rows.findIndex(({ kind, stage }) => kind === 'stage' && stage === row.stage),
          );
      },
      '+': () => this.#look(zoomed(seen, this.#whole, 0.5)),
      '=': () => this.#look(zoomed(seen, this.#whole, 0.5)),
      '-': () => this.#look(zoomed(seen, this.#whole, 2)),
      '0': () => this.#look(undefined),
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  /** The place of the ruler, which is that of the bars below it, in pixels of the window. */
  #timeAt(x: number): number {
    const { left, width } = this.#ruler.getBoundingClientRect();
    const seen = this.#seen;
    return seen.from + ((x - left) / Math.max(1, width)) * (seen.to - seen.from);
  }

  #wheel(event: WheelEvent, always = false): void {
    const isZoom = event.ctrlKey || event.metaKey || (always && event.deltaY !== 0);
    const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (isZoom) {
      event.preventDefault();
      const factor = Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 120);
      this.#look(zoomed(this.#seen, this.#whole, factor, this.#timeAt(event.clientX)));
    } else if (this.#window && across !== 0 && Math.abs(across) >= Math.abs(event.deltaY)) {
      event.preventDefault();
      this.#look(panned(this.#seen, this.#whole, across / 800));
    }
  }

  /** A click opens a step. A drag over bars or the ruler shows that part of the time. */
  #drag(event: PointerEvent): void {
    if (event.button !== 0) return;
    const target = event.target as HTMLElement;
    const row = target.closest<HTMLElement>('.tl-row');
    const isOnTime = target.closest('.track, .ruler') !== null && event.pointerType !== 'touch';
    const from = this.#timeAt(event.clientX);
    const box = place(h('div', { class: 'drag-box' }), {});
    const edge = this.element.getBoundingClientRect();
    const move = (moved: PointerEvent) => {
      if (!isOnTime || Math.abs(moved.clientX - event.clientX) < 5) return;
      const left = Math.min(moved.clientX, event.clientX) - edge.left;
      const width = `${Math.abs(moved.clientX - event.clientX)}px`;
      place(box, { left: `${left}px`, width });
      if (!box.isConnected) this.element.append(box);
      moved.preventDefault();
    };
    const end = (ended: PointerEvent) => {
      removeEventListener('pointermove', move);
      removeEventListener('pointerup', end);
      removeEventListener('pointercancel', end);
      const isDragged = box.isConnected;
      box.remove();
      if (ended.type === 'pointercancel') return;
      if (isDragged) {
        const to = this.#timeAt(ended.clientX);
        const window = { from: Math.min(from, to), to: Math.max(from, to) };
        return this.#look(zoomed(window, this.#whole, 1));
      }
      const index = Number(row?.dataset['index']);
      if (!row || this.#rows[index]?.kind !== 'step') return;
      if (Math.abs(ended.clientY - event.clientY) > 8) return;
      this.#moveTo(index);
      this.#open(index);
    };
    addEventListener('pointermove', move);
    addEventListener('pointerup', end);
    addEventListener('pointercancel', end);
  }
}

function legend(): HTMLElement {
  const entry = (kind: string, label: string) =>
    h('span', {}, h('i', { class: `key ${kind}` }), label);
  return h(
    'p',
    { class: 'legend' },
    entry('bar phase-waiting', 'waiting'),
    entry('bar phase-fetching', 'fetching'),
    entry('bar phase-running', 'running'),
    entry('bar phase-committing', 'writing the layer'),
    entry('bar look-cached', 'cached'),
    entry('bar phase-running look-emulated', 'emulated'),
    entry('bar phase-running look-failed', 'failed'),
    entry('critical-bar', 'critical path: it decided how long the build took'),
  );
}
