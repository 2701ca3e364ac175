import type { ContentsChange } from '../../images/contents/contents.ts';
import { childrenSeen, isDirectoryIn } from '../../images/contents/directory.ts';
import { TOP } from '../../images/contents/layered-tree.ts';
import type { LayersView } from '../../images/contents/layers-view.ts';
import type { OpenContents } from '../../images/contents/open-contents.ts';
import type { Key, KeyName } from './keys.ts';

/** A row of the tree of files. */
export interface FileRow {
  readonly node: number;
  readonly depth: number;
}

/** The most rows of the tree. What is beyond them is seen when directories are collapsed. */
const MOST_ROWS = 200_000;
const CHANGES: readonly ContentsChange[] = ['added', 'changed', 'removed', 'unchanged'];
const TOGGLES: Readonly<Record<string, ContentsChange>> = {
  'ctrl-a': 'added',
  'ctrl-r': 'removed',
  'ctrl-u': 'unchanged',
  // Ctrl+M is the byte of Enter.
  enter: 'changed',
};

/**
 * What is shown of an image, and how keys change it. It draws nothing. `rows` are those of the
 * files, from the top of the tree.
 */
export class Explorer {
  readonly contents: OpenContents;
  pane: 'layers' | 'files' = 'layers';
  layer = 0;
  /** `all`: the changes since the first layer. `layer`: those of the layer alone. */
  since: 'layer' | 'all' = 'layer';
  cursor = 0;
  /** The first row that the pane of files shows. */
  first = 0;
  showsAttributes = true;
  sort: 'name' | 'size' = 'name';
  filter = '';
  isTyping = false;
  isDone = false;
  readonly hidden = new Set<ContentsChange>();
  readonly #open = new Set<number>();
  #rows: readonly FileRow[] | undefined;
  #page = 1;

  constructor(contents: OpenContents) {
    this.contents = contents;
  }

  get view(): LayersView {
    const since = this.since === 'all' ? Math.min(0, this.layer) : this.layer - 1;
    return this.contents.views.get({ upTo: this.layer, since });
  }

  get rows(): readonly FileRow[] {
    return (this.#rows ??= this.#makeRows());
  }

  /** Tells how many rows the pane of files has, and moves it to where the cursor is. */
  fit(rows: number): void {
    this.#page = Math.max(1, rows);
    this.cursor = Math.max(0, Math.min(this.cursor, this.rows.length - 1));
    const last = Math.max(0, this.rows.length - this.#page);
    this.first = Math.min(this.first, last, this.cursor);
    this.first = Math.max(this.first, this.cursor - this.#page + 1);
  }

  isOpen(node: number): boolean {
    return this.filter !== '' || this.#open.has(node);
  }

  press(key: Key): void {
    if (key.kind === 'key' && key.name === 'ctrl-c') this.isDone = true;
    else if (this.isTyping) this.#type(key);
    else if (key.kind === 'text') this.#letters(key.text);
    else this.#key(key.name);
  }

  /** Letters come together when they are typed fast. What follows a `/` is the filter. */
  #letters(text: string): void {
    for (const [at, letter] of [...text].entries()) {
      this.#letter(letter);
      if (!this.isTyping) continue;
      const rest = [...text].slice(at + 1).join('');
      if (rest !== '') this.#setFilter(this.filter + rest);
      return;
    }
  }

  #type(key: Key): void {
    if (key.kind === 'text') this.#setFilter(this.filter + key.text);
    else if (key.name === 'backspace') this.#setFilter([...this.filter].slice(0, -1).join(''));
    else if (key.name === 'enter') this.isTyping = false;
    else if (key.name === 'escape' || key.name === 'ctrl-f') {
      this.isTyping = false;
      this.#setFilter('');
    } else if (key.name === 'up' || key.name === 'down') {
      this.isTyping = false;
      this.#key(key.name);
    }
  }

  #letter(letter: string): void {
    if (letter === 'q') this.isDone = true;
    else if (letter === '/') this.#beginFilter();
    else if (letter === ' ') this.#toggle();
    else if (letter === 'j') this.#key('down');
    else if (letter === 'k') this.#key('up');
    else if (letter === 'h') this.#key('left');
    else if (letter === 'l') this.#key('right');
    else if (letter === 's') {
      this.sort = this.sort === 'name' ? 'size' : 'name';
      this.#changed();
    }
  }

  #key(name: KeyName): void {
    if (name === 'tab') this.pane = this.pane === 'layers' ? 'files' : 'layers';
    else if (name === 'ctrl-f' || name === 'ctrl-/') this.#beginFilter();
    else if (name === 'escape') this.#setFilter('');
    else if (name === 'ctrl-b') this.showsAttributes = !this.showsAttributes;
    else if (name === 'ctrl-l') this.#compare('layer');
    else if (this.pane === 'layers') this.#keyInLayers(name);
    else this.#keyInFiles(name);
  }

  #keyInLayers(name: KeyName): void {
    const last = this.contents.tree.layers - 1;
    const moves: Partial<Record<KeyName, number>> = {
      up: this.layer - 1,
      down: this.layer + 1,
      'page-up': this.layer - this.#page,
      'page-down': this.layer + this.#page,
      home: 0,
      end: last,
    };
    const to = moves[name];
    if (to !== undefined) {
      this.layer = Math.max(0, Math.min(last, to));
      this.#changed();
    } else if (name === 'ctrl-a') this.#compare('all');
    else if (name === 'right') this.pane = 'files';
  }

  #keyInFiles(name: KeyName): void {
    const change = TOGGLES[name];
    if (change) return this.#toggleChange(change);
    if (name === 'ctrl-space') return this.#toggleAll();
    if (name === 'left') return this.#leave();
    if (name === 'right') return this.#enter();
    const moves: Partial<Record<KeyName, number>> = {
      up: this.cursor - 1,
      down: this.cursor + 1,
      'page-up': this.cursor - this.#page,
      'page-down': this.cursor + this.#page,
      home: 0,
      end: this.rows.length - 1,
    };
    this.cursor = Math.max(0, Math.min(this.rows.length - 1, moves[name] ?? this.cursor));
  }

  #compare(since: 'layer' | 'all'): void {
    this.since = since;
    this.#changed();
  }

  #beginFilter(): void {
    this.pane = 'files';
    this.isTyping = true;
  }

  #setFilter(filter: string): void {
    this.filter = filter.slice(0, 255);
    this.#changed();
  }

  #toggleChange(change: ContentsChange): void {
    if (!this.hidden.delete(change)) this.hidden.add(change);
    this.#changed();
  }

  /** Collapses or opens the directory under the cursor. */
  #toggle(): void {
    const row = this.#row;
    if (!row || !this.#isDirectory(row.node)) return;
    if (!this.#open.delete(row.node)) this.#open.add(row.node);
    this.#changed();
  }

  #enter(): void {
    const row = this.#row;
    if (row && this.#isDirectory(row.node) && !this.isOpen(row.node)) this.#toggle();
  }

  /** Collapses the directory under the cursor, or goes to the one that it is in. */
  #leave(): void {
    const row = this.#row;
    if (!row) return;
    if (this.#open.has(row.node) && this.filter === '') return this.#toggle();
    const parent = this.contents.tree.parentOf(row.node);
    const at = this.rows.findIndex(({ node }) => node === parent);
    if (at >= 0) this.cursor = at;
    else if (parent === TOP) this.pane = 'layers';
  }

  #toggleAll(): void {
    if (this.#open.size > 0) this.#open.clear();
    else {
      const { view } = this;
      const { tree } = this.contents;
      for (let node = 1; node < tree.nodes && this.#open.size < MOST_ROWS; node++)
        if (view.change[node] !== 0 && isDirectoryIn(tree, view, node)) this.#open.add(node);
    }
    this.#changed();
  }

  get #row(): FileRow | undefined {
    return this.rows[this.cursor];
  }

  #isDirectory(node: number): boolean {
    return isDirectoryIn(this.contents.tree, this.view, node);
  }

  /** The rows are other ones now. The cursor stays on its path where that is still seen. */
  #changed(): void {
    const node = this.#row?.node;
    this.#rows = undefined;
    const at = this.rows.findIndex((row) => row.node === node);
    this.cursor = at >= 0 ? at : Math.max(0, Math.min(this.cursor, this.rows.length - 1));
  }

  #makeRows(): FileRow[] {
    const { view, contents, sort } = this;
    const { tree } = contents;
    const changes = CHANGES.filter((change) => !this.hidden.has(change));
    const filter = this.filter === '' ? {} : { filter: this.filter };
    const seen = (node: number) => childrenSeen(contents, view, node, { changes, sort, ...filter });
    const rows: FileRow[] = [];
    const todo = [...seen(TOP)].reverse().map((node) => ({ node, depth: 0 }));
    for (let row = todo.pop(); row && rows.length < MOST_ROWS; row = todo.pop()) {
      rows.push(row);
      if (!this.isOpen(row.node) || !isDirectoryIn(tree, view, row.node)) continue;
      const depth = row.depth + 1;
      for (const node of [...seen(row.node)].reverse()) todo.push({ node, depth });
    }
    return rows;
  }
}
