import { bytes } from '../../base/units.ts';
import type { ContentsEntry, DirectoryPage } from '../../images/contents/contents.ts';
import { h, place } from './dom.ts';
import { brief } from './hostile-text.ts';
import { VirtualRows } from './virtual-rows.ts';

interface TreeRow {
  readonly entry: ContentsEntry | undefined;
  readonly depth: number;
  /** For the row that loads more entries: the directory, and how many it shows. */
  readonly more?: { readonly directory: number; readonly left: number };
}

const SIGNS = {
  added: ['+', 'added'],
  changed: ['~', 'changed'],
  removed: ['−', 'removed'],
  unchanged: ['', 'unchanged'],
} as const;

let made = 0;

/** The files of an image as a tree. A directory is asked for when it is opened. */
export class FileTree {
  readonly element: HTMLElement;
  readonly #load: (directory: number, offset: number) => Promise<DirectoryPage>;
  readonly #list: VirtualRows;
  readonly #id = `files-${made++}`;
  readonly #pages = new Map<
    number,
    { readonly total: number; readonly entries: ContentsEntry[] }
  >();
  #open = new Set<number>([0]);
  #rows: readonly TreeRow[] = [];
  #current = 0;
  #round = 0;

  constructor(load: (directory: number, offset: number) => Promise<DirectoryPage>) {
    this.#load = load;
    this.#list = new VirtualRows({
      rowHeight: () => 24,
      row: (index) => this.#row(index),
      attributes: { role: 'tree', 'aria-label': 'Files' },
    });
    this.element = this.#list.element;
    this.element.classList.add('file-tree');
    this.element.addEventListener('keydown', (event) => this.#key(event));
  }

  /** Forgets what was loaded and shows the root again. */
  async reset(): Promise<void> {
    this.#round++;
    this.#pages.clear();
    this.#open = new Set([0]);
    this.#current = 0;
    await this.#fetch(0);
  }

  async #fetch(directory: number): Promise<void> {
    const round = this.#round;
    const known = this.#pages.get(directory);
    const { total, entries } = await this.#load(directory, known?.entries.length ?? 0);
    if (round !== this.#round) return;
    this.#pages.set(directory, { total, entries: [...(known?.entries ?? []), ...entries] });
    this.#draw();
  }

  #draw(): void {
    const rows: TreeRow[] = [];
    const add = (directory: number, depth: number) => {
      const page = this.#pages.get(directory);
      if (!page) return;
      for (const entry of page.entries) {
        rows.push({ entry, depth });
        if (entry.type === 'directory' && this.#open.has(entry.id)) add(entry.id, depth + 1);
      }
      const left = page.total - page.entries.length;
      if (left > 0) rows.push({ entry: undefined, depth, more: { directory, left } });
    };
    add(0, 0);
    this.#rows = rows;
    this.#current = Math.min(this.#current, Math.max(0, rows.length - 1));
    this.#list.count = rows.length;
    this.#mark();
  }

  #row(index: number): HTMLElement {
    const { entry, depth, more } = this.#rows[index]!;
    const common = {
      role: 'treeitem',
      id: `${this.#id}-${index}`,
      'aria-level': depth + 1,
      'aria-selected': String(index === this.#current),
      onclick: () => {
        this.#current = index;
        this.#act(index);
        this.#mark();
      },
    };
    const indent = (element: HTMLElement) =>
      place(element, { 'padding-left': `${depth * 16 + 8}px` });
    if (!entry)
      return indent(
        h('div', { ...common, class: 'file-row more' }, `${more?.left ?? 0} more: press Enter`),
      );
    const isDirectory = entry.type === 'directory';
    const isOpen = this.#open.has(entry.id);
    const [sign, word] = SIGNS[entry.change];
    const target = entry.target === undefined ? '' : ` → ${brief(entry.target, 80)}`;
    return indent(
      h(
        'div',
        {
          ...common,
          class: `file-row change-${entry.change}${index === this.#current ? ' current' : ''}`,
          'aria-expanded': isDirectory ? String(isOpen) : undefined,
          title: `${word}, ${entry.mode.toString(8)}, ${entry.uid}:${entry.gid}`,
        },
        h(
          'span',
          { class: 'twist', 'aria-hidden': 'true' },
          isDirectory ? (isOpen ? '▾' : '▸') : '',
        ),
        h('span', { class: 'change-sign', 'aria-hidden': 'true' }, sign),
        h('span', { class: 'name' }, `${brief(entry.name, 160)}${isDirectory ? '/' : ''}${target}`),
        h('span', { class: 'num' }, bytes(entry.size)),
        h('span', { class: 'unseen' }, `, ${word}`),
      ),
    );
  }

  #act(index: number): void {
    const row = this.#rows[index];
    if (row?.more) return void this.#fetch(row.more.directory);
    if (row?.entry?.type === 'directory') this.#toggle(row.entry.id);
  }

  #toggle(id: number): void {
    if (this.#open.delete(id)) return this.#draw();
    this.#open.add(id);
    if (this.#pages.has(id)) this.#draw();
    else void this.#fetch(id);
  }

  #mark(): void {
    for (const row of this.element.querySelectorAll('.file-row')) {
      const isCurrent = row.id === `${this.#id}-${this.#current}`;
      row.classList.toggle('current', isCurrent);
      row.setAttribute('aria-selected', String(isCurrent));
    }
    if (this.#list.rowAt(this.#current))
      this.element.setAttribute('aria-activedescendant', `${this.#id}-${this.#current}`);
    else this.element.removeAttribute('aria-activedescendant');
  }

  #key(event: KeyboardEvent): void {
    const row = this.#rows[this.#current];
    const id = row?.entry?.type === 'directory' ? row.entry.id : undefined;
    const isOpen = id !== undefined && this.#open.has(id);
    const move = (to: number) => {
      this.#current = Math.min(Math.max(0, to), this.#rows.length - 1);
      this.#list.scrollTo(this.#current);
      this.#mark();
    };
    const parent = () => {
      let at = this.#current;
      while (at > 0 && this.#rows[at]!.depth >= (row?.depth ?? 0)) at--;
      return at;
    };
    const actions: Readonly<Record<string, () => void>> = {
      ArrowDown: () => move(this.#current + 1),
      ArrowUp: () => move(this.#current - 1),
      PageDown: () => move(this.#current + this.#list.seenCount),
      PageUp: () => move(this.#current - this.#list.seenCount),
      Home: () => move(0),
      End: () => move(this.#rows.length - 1),
      ArrowRight: () => (id !== undefined && !isOpen ? this.#toggle(id) : move(this.#current + 1)),
      ArrowLeft: () => (isOpen ? this.#toggle(id) : move(parent())),
      Enter: () => this.#act(this.#current),
      ' ': () => this.#act(this.#current),
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }
}
