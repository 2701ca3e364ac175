import { h, place } from './dom.ts';

/** A browser does not show elements that are much higher, in pixels. */
const HEIGHT_LIMIT = 8_000_000;
/** Rows that are made beyond what is seen. */
const SPARE = 6;
/** So many rows of a list are printed, from the first one that is seen. */
const PRINTED = 2000;

export interface VirtualRowsOptions {
  readonly rowHeight: () => number;
  /** Makes the row with this index. It is called again after `refresh`. */
  readonly row: (index: number) => HTMLElement;
  /** Told which rows are about to be seen. */
  readonly seen?: (first: number, last: number) => void;
  readonly attributes: Readonly<Record<string, string | number>>;
}

/**
 * A list of which only the rows that are seen have elements, so that it may have millions. A list
 * that is higher than browsers allow has a shorter scroll bar: the wheel and `scrollTo` move by
 * rows all the same, and only the bar jumps over some.
 */
export class VirtualRows {
  readonly element: HTMLElement;
  readonly #options: VirtualRowsOptions;
  readonly #spacer = h('div', { class: 'virtual-spacer' });
  readonly #window = h('div', { class: 'virtual-window', role: 'presentation' });
  readonly #rows = new Map<number, HTMLElement>();
  #count = 0;
  /** What is above the seen part, in pixels of the whole list. */
  #position = 0;
  /** Where the scroll bar was put last. */
  #bar = 0;
  #isDrawing = false;
  #isPrinting = false;

  constructor(options: VirtualRowsOptions) {
    this.#options = options;
    this.element = h(
      'div',
      { class: 'virtual', tabindex: 0, ...options.attributes },
      this.#spacer,
      this.#window,
    );
    this.element.addEventListener('scroll', () => this.#scrolled());
    this.element.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => this.refresh()).observe(this.element);
    addEventListener('beforeprint', () => this.#print(true));
    addEventListener('afterprint', () => this.#print(false));
  }

  /** On paper nothing scrolls: all rows are there, or many from the first one that is seen on. */
  #print(isPrinting: boolean): void {
    if (!this.element.isConnected || isPrinting === this.#isPrinting) return;
    this.#isPrinting = isPrinting;
    this.refresh();
  }

  get count(): number {
    return this.#count;
  }

  /** The index of the first row that is seen. */
  get first(): number {
    return Math.floor(this.#position / this.#options.rowHeight());
  }

  /** How many rows are seen. */
  get seenCount(): number {
    return Math.max(1, Math.floor(this.element.clientHeight / this.#options.rowHeight()));
  }

  set count(count: number) {
    this.#count = count;
    this.refresh();
  }

  /** Makes all seen rows again. */
  refresh(): void {
    if (this.#isPrinting && !this.#options.seen) return this.#drawAll();
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    const height = Math.min(HEIGHT_LIMIT, this.#height);
    place(this.#spacer, { height: `${height}px` });
    this.#move(this.#position);
  }

  /** Scrolls as little as is needed for a row to be seen, or to the middle. */
  scrollTo(index: number, block: 'nearest' | 'center' = 'nearest'): void {
    const size = this.#options.rowHeight();
    const seen = this.element.clientHeight;
    const top = index * size;
    if (block === 'center') this.#move(top - (seen - size) / 2);
    else if (top < this.#position) this.#move(top);
    else if (top + size > this.#position + seen) this.#move(top + size - seen);
  }

  /** The element of a row. Undefined when it is not seen. */
  rowAt(index: number): HTMLElement | undefined {
    return this.#rows.get(index);
  }

  get #height(): number {
    return this.#count * this.#options.rowHeight();
  }

  get #isScaled(): boolean {
    return this.#height > HEIGHT_LIMIT;
  }

  #move(position: number): void {
    const seen = this.element.clientHeight;
    const most = Math.max(0, this.#height - seen);
    this.#position = Math.min(most, Math.max(0, position));
    const mostBar = Math.max(0, Math.min(HEIGHT_LIMIT, this.#height) - seen);
    this.element.scrollTop = most > 0 ? (this.#position / most) * mostBar : 0;
    // The browser rounds it.
    this.#bar = this.element.scrollTop;
    this.#draw();
  }

  #scrolled(): void {
    const bar = this.element.scrollTop;
    if (Math.abs(bar - this.#bar) < 1) return;
    this.#bar = bar;
    const seen = this.element.clientHeight;
    const most = Math.max(0, this.#height - seen);
    this.#position = this.#isScaled ? (bar / (HEIGHT_LIMIT - seen)) * most : bar;
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      this.#draw();
    });
  }

  #wheel(event: WheelEvent): void {
    if (!this.#isScaled || event.ctrlKey || event.deltaY === 0) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? this.#options.rowHeight() : 1;
    this.#move(this.#position + event.deltaY * unit);
  }

  #drawAll(): void {
    const from = this.#count > PRINTED ? this.first : 0;
    const rows = Array.from({ length: Math.min(PRINTED, this.#count - from) }, (_, index) =>
      this.#options.row(from + index),
    );
    this.#window.replaceChildren(...rows);
    this.#rows.clear();
    for (const [index, row] of rows.entries()) this.#rows.set(from + index, row);
    place(this.#window, { transform: 'none' });
  }

  #draw(): void {
    const size = this.#options.rowHeight();
    const first = Math.max(0, Math.floor(this.#position / size) - SPARE);
    const seen = Math.ceil(this.element.clientHeight / size);
    const last = Math.min(this.#count, first + seen + 2 * SPARE);
    for (const [index, row] of this.#rows)
      if (index < first || index >= last) {
        row.remove();
        this.#rows.delete(index);
      }
    this.#options.seen?.(first, last);
    let before: HTMLElement | undefined;
    for (let index = first; index < last; index++) {
      let row = this.#rows.get(index);
      if (!row) {
        row = this.#options.row(index);
        this.#rows.set(index, row);
        if (before) before.after(row);
        else this.#window.prepend(row);
      }
      before = row;
    }
    const top = this.#bar + first * size - this.#position;
    place(this.#window, { transform: `translateY(${top}px)` });
  }
}
