import { durationText } from './amounts.ts';
import { button, h, place, svg } from './dom.ts';
import { type GraphLayout, type GraphNode, layoutGraph } from './graph-layout.ts';
import { brief } from './hostile-text.ts';
import type { BuildContextOfPage, BuildTab } from './page-context.ts';
import { endOf, LOOK_WORDS, lookOf, shortName, stepNumber, tookMs } from './step-words.ts';
import { stageName } from './timeline-rows.ts';

/** Sizes of the drawing at full size, in pixels. */
const NODE = { width: 210, height: 42 } as const;
const PITCH = { x: 262, y: 64 } as const;
const EDGE = { x: 26, y: 44 } as const;
const SCALES = { least: 0.15, most: 1.6 } as const;

/** Stages and steps as boxes with lines from what a step needs. */
export function graphTab(context: BuildContextOfPage): BuildTab {
  return new Graph(context);
}

const SIGNS = {
  ...{ waiting: '○', running: '▶', cached: '✓', done: '●' },
  ...{ emulated: '◆', failed: '✕', cancelled: '–' },
} as const;

class Graph implements BuildTab {
  readonly element: HTMLElement;
  readonly #context: BuildContextOfPage;
  readonly #frame: HTMLElement;
  readonly #space = h('div', { class: 'graph-space', role: 'presentation' });
  readonly #lines = svg('svg', { class: 'graph-lines', 'aria-hidden': 'true' });
  readonly #boxes = h('div', { class: 'graph-boxes', role: 'presentation' });
  #layout: GraphLayout = { nodes: new Map(), stages: [], edges: [], columns: 0, rows: 0 };
  #shape = '';
  #scale = 0;
  #current: number | undefined;
  #isDrawing = false;

  constructor(context: BuildContextOfPage) {
    this.#context = context;
    this.#space.append(this.#lines, this.#boxes);
    this.#frame = h(
      'div',
      {
        class: 'graph-frame',
        tabindex: 0,
        role: 'listbox',
        'aria-label': 'Steps as a graph. Arrow keys follow the lines, Enter shows a step.',
      },
      this.#space,
    );
    this.element = h(
      'section',
      { class: 'graph', 'aria-label': 'Graph' },
      h(
        'div',
        { class: 'toolbar' },
        legend(),
        h(
          'span',
          { class: 'buttons' },
          button('−', () => this.#zoom(1 / 1.3), { 'aria-label': 'Zoom out' }),
          button('+', () => this.#zoom(1.3), { 'aria-label': 'Zoom in' }),
          button('Whole graph', () => this.#fit()),
        ),
      ),
      this.#frame,
    );
    this.#frame.addEventListener('scroll', () => this.#later());
    this.#frame.addEventListener('keydown', (event) => this.#key(event));
    this.#frame.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    this.#frame.addEventListener('pointerdown', (event) => this.#drag(event));
    new ResizeObserver(() => this.#later()).observe(this.#frame);
  }

  update(): void {
    const { steps } = this.#context.view();
    const shape = JSON.stringify(steps.map(({ inputs, stage }) => [inputs, stage]));
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#layout = layoutGraph(this.#context.view());
    }
    if (this.#scale === 0) this.#fit(0.75);
    this.#draw();
  }

  reveal(step: number | undefined): void {
    this.#current = step;
    const node = step === undefined ? undefined : this.#layout.nodes.get(step);
    if (node) this.#bringIntoView(node);
    this.#draw();
  }

  shown(): void {
    this.#draw();
  }

  get #size(): { readonly width: number; readonly height: number } {
    const { columns, rows } = this.#layout;
    return { width: columns * PITCH.x + EDGE.x, height: rows * PITCH.y + 2 * EDGE.y };
  }

  #fit(least: number = SCALES.least): void {
    const { width, height } = this.#size;
    const { clientWidth, clientHeight } = this.#frame;
    if (clientWidth === 0) return;
    const wanted = Math.min(clientWidth / width, clientHeight / height);
    this.#setScale(Math.min(1, Math.max(least, wanted)));
    this.#frame.scrollTo(0, 0);
  }

  #setScale(scale: number): void {
    this.#scale = Math.min(SCALES.most, Math.max(SCALES.least, scale));
    this.#draw();
  }

  /** Zooms so that a point of the frame stays where it is: its middle, if none is given. */
  #zoom(factor: number, x?: number, y?: number): void {
    const { clientWidth, clientHeight, scrollLeft, scrollTop } = this.#frame;
    const [atX, atY] = [x ?? clientWidth / 2, y ?? clientHeight / 2];
    const before = this.#scale;
    this.#setScale(before * factor);
    const grown = this.#scale / before;
    this.#frame.scrollTo((scrollLeft + atX) * grown - atX, (scrollTop + atY) * grown - atY);
  }

  #bringIntoView(node: GraphNode): void {
    if (this.#scale === 0) this.#fit(0.75);
    const { x, y } = boxOf(node);
    const { clientWidth, clientHeight, scrollLeft, scrollTop } = this.#frame;
    const [left, top] = [x * this.#scale, y * this.#scale];
    const isSeen =
      left > scrollLeft &&
      left + NODE.width * this.#scale < scrollLeft + clientWidth &&
      top > scrollTop &&
      top + NODE.height * this.#scale < scrollTop + clientHeight;
    if (!isSeen)
      this.#frame.scrollTo(left - clientWidth / 2 + NODE.width / 2, top - clientHeight / 2);
  }

  #later(): void {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      if (this.#scale === 0 && this.#frame.clientWidth > 0) this.#fit(0.75);
      this.#draw();
    });
  }

  /** Draws the boxes and lines that are in the frame. */
  #draw(): void {
    if (this.#scale === 0) return;
    const { width, height } = this.#size;
    place(this.#space, {
      width: `${width * this.#scale}px`,
      height: `${height * this.#scale}px`,
    });
    place(this.#boxes, { transform: `scale(${this.#scale})` });
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.#frame;
    const seen = {
      left: scrollLeft / this.#scale - PITCH.x,
      right: (scrollLeft + clientWidth) / this.#scale + PITCH.x,
      top: scrollTop / this.#scale - 2 * PITCH.y,
      bottom: (scrollTop + clientHeight) / this.#scale + 2 * PITCH.y,
    };
    const isIn = (x: number, top: number, bottom = top) =>
      x > seen.left && x < seen.right && bottom > seen.top && top < seen.bottom;
    const view = this.#context.view();
    const now = endOf(view);
    const critical = new Set(view.criticalPath);
    const stages = this.#layout.stages.flatMap((stage) => {
      const { x, y } = boxOf({ column: stage.column, row: stage.first });
      const height = (stage.last - stage.first) * PITCH.y + NODE.height;
      if (!isIn(x, y, y + height)) return [];
      const box = h(
        'div',
        { class: 'graph-stage' },
        h('span', {}, brief(stageName(view, stage.stage), 60)),
      );
      return [
        place(box, {
          left: `${x - 12}px`,
          top: `${y - 24}px`,
          width: `${NODE.width + 24}px`,
          height: `${height + 34}px`,
        }),
      ];
    });
    const nodes = [...this.#layout.nodes.values()].flatMap((node) => {
      const { x, y } = boxOf(node);
      return isIn(x, y) ? [this.#node(node, now, critical.has(node.step))] : [];
    });
    const lines = this.#layout.edges.flatMap(([from, to]) => {
      const [a, b] = [this.#layout.nodes.get(from)!, this.#layout.nodes.get(to)!];
      const [top, bottom] = [boxOf(a), boxOf(b)];
      const x = Math.abs(top.x - bottom.x) > 0 ? (seen.left + seen.right) / 2 : top.x;
      if (!isIn(x, Math.min(top.y, bottom.y), Math.max(top.y, bottom.y))) return [];
      const kinds = [
        critical.has(from) && critical.has(to) ? 'critical' : '',
        this.#current === from || this.#current === to ? 'chosen' : '',
      ];
      return [svg('path', { class: kinds.join(' '), d: curve(a, b) })];
    });
    this.#boxes.replaceChildren(...stages, ...nodes);
    this.#lines.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.#lines.replaceChildren(...lines);
    if (this.#current === undefined) this.#frame.removeAttribute('aria-activedescendant');
    else this.#frame.setAttribute('aria-activedescendant', `graph-step-${this.#current}`);
  }

  #node(node: GraphNode, now: number, isCritical: boolean): HTMLElement {
    const step = this.#context.view().steps[node.step]!;
    const look = lookOf(step);
    const took = tookMs(step, now);
    const time = took === undefined || look === 'cached' ? '' : durationText(took);
    const isCurrent = node.step === this.#current;
    const { x, y } = boxOf(node);
    const element = h(
      'div',
      {
        class: ['graph-node', `look-${look}`, isCritical && 'critical', isCurrent && 'current']
          .filter(Boolean)
          .join(' '),
        role: 'option',
        id: `graph-step-${node.step}`,
        'aria-selected': String(isCurrent),
        title: brief(step.name, 500),
        onclick: () => this.#context.select(node.step),
      },
      h('span', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[look]),
      h('span', { class: 'name' }, brief(shortName(step), 80)),
      h(
        'span',
        { class: 'note' },
        [brief(stepNumber(step), 24), LOOK_WORDS[look], time].filter(Boolean).join(' · '),
      ),
    );
    return place(element, { left: `${x}px`, top: `${y}px` });
  }

  #key(event: KeyboardEvent): void {
    const at = this.#current;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { steps } = this.#context.view();
    const actions: Readonly<Record<string, () => number | undefined>> = {
      ArrowUp: () => (at === undefined ? 0 : steps[at]?.inputs.at(-1)),
      ArrowDown: () => this.#follower(at),
      ArrowRight: () => this.#beside(at, 1),
      ArrowLeft: () => this.#beside(at, -1),
      Home: () => 0,
      End: () => steps.length - 1,
    };
    const zooms: Readonly<Record<string, () => void>> = {
      '+': () => this.#zoom(1.3),
      '=': () => this.#zoom(1.3),
      '-': () => this.#zoom(1 / 1.3),
      '0': () => this.#fit(),
    };
    if (zooms[event.key]) {
      event.preventDefault();
      return zooms[event.key]!();
    }
    if ((event.key === 'Enter' || event.key === ' ') && at !== undefined) {
      event.preventDefault();
      return this.#context.select(at);
    }
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    const next = action();
    if (next === undefined || !steps[next]) return;
    this.reveal(next);
  }

  #follower(at: number | undefined): number | undefined {
    if (at === undefined) return 0;
    const next = this.#layout.edges.filter(([from]) => from === at).map(([, to]) => to);
    const column = this.#layout.nodes.get(at)?.column;
    return next.find((to) => this.#layout.nodes.get(to)?.column === column) ?? next[0];
  }

  /** The nearest step in the columns to the right (1) or to the left (-1). */
  #beside(at: number | undefined, by: 1 | -1): number | undefined {
    const own = at === undefined ? undefined : this.#layout.nodes.get(at);
    if (!own) return 0;
    const distance = ({ column, row }: GraphNode) =>
      Math.abs(column - own.column) * 3 + Math.abs(row - own.row);
    return [...this.#layout.nodes.values()]
      .filter(({ column }) => (column - own.column) * by > 0)
      .reduce<GraphNode | undefined>(
        (best, node) => (!best || distance(node) < distance(best) ? node : best),
        undefined,
      )?.step;
  }

  #wheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { left, top } = this.#frame.getBoundingClientRect();
    const factor = Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 150);
    this.#zoom(factor, event.clientX - left, event.clientY - top);
  }

  /** Moves the drawing with the mouse. */
  #drag(event: PointerEvent): void {
    const isOnNode = (event.target as HTMLElement).closest('.graph-node') !== null;
    if (event.button !== 0 || event.pointerType === 'touch' || isOnNode) return;
    const { scrollLeft, scrollTop } = this.#frame;
    const move = (moved: PointerEvent) =>
      this.#frame.scrollTo(
        scrollLeft - moved.clientX + event.clientX,
        scrollTop - moved.clientY + event.clientY,
      );
    const end = () => removeEventListener('pointermove', move);
    addEventListener('pointermove', move);
    addEventListener('pointerup', end, { once: true });
  }
}

function boxOf({ column, row }: Pick<GraphNode, 'column' | 'row'>): { x: number; y: number } {
  return { x: column * PITCH.x + EDGE.x, y: row * PITCH.y + EDGE.y };
}

/** The line from the bottom of a box to the top of another one. */
function curve(a: GraphNode, b: GraphNode): string {
  const [from, to] = [boxOf(a), boxOf(b)];
  const x1 = from.x + NODE.width / 2;
  const y1 = from.y + NODE.height;
  const x2 = to.x + NODE.width / 2;
  const y2 = to.y;
  if (a.column !== b.column) {
    const bend = Math.max(20, Math.min(60, (y2 - y1) / 2));
    // Beside the boxes of both columns, where nothing else is.
    const lane = a.column < b.column ? to.x - 24 : to.x + NODE.width + 24;
    if (y2 - y1 < PITCH.y) return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
    return (
      `M${x1} ${y1}C${x1} ${y1 + bend} ${lane} ${y1} ${lane} ${y1 + bend}` +
      `L${lane} ${y2 - bend}C${lane} ${y2 - 4} ${x2} ${y2 - bend / 2} ${x2} ${y2}`
    );
  }
  if (b.row === a.row + 1) return `M${x1} ${y1}L${x2} ${y2}`;
  const side = from.x - 10;
  const way = [
    `M${x1 - 60} ${y1}C${side} ${y1 + 20} ${side} ${y1 + 20} ${side} ${y1 + 40}`,
    `L${side} ${y2 - 40}C${side} ${y2 - 20} ${side} ${y2 - 20} ${x2 - 60} ${y2}`,
  ];
  return way.join('');
}

function legend(): HTMLElement {
  const looks = ['cached', 'done', 'emulated', 'failed', 'running', 'waiting'] as const;
  return h(
    'p',
    { class: 'legend' },
    looks.map((look) =>
      h('span', {}, h('i', { class: `sign-key look-${look}` }, SIGNS[look]), LOOK_WORDS[look]),
    ),
    h('span', {}, h('i', { class: 'key critical-bar' }), 'critical path'),
  );
}
