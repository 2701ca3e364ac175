import type { ContentsChange, TreeQuery } from './contents.ts';
import { type LayeredTree, TOP, TYPE } from './layered-tree.ts';

/** How a path is different between the two ends of a view; `absent` from both. */
export const CHANGE = { absent: 0, added: 1, changed: 2, removed: 4, unchanged: 8 } as const;
export type ChangeNumber = (typeof CHANGE)[keyof typeof CHANGE];

export const CHANGE_NAMES: Readonly<Record<number, ContentsChange>> = {
  1: 'added',
  2: 'changed',
  4: 'removed',
  8: 'unchanged',
};

/**
 * The tree that the layers up to `upTo` make, and how it is different from that of the layers up to
 * `since`. All arrays are by node.
 */
export interface LayersView {
  readonly upTo: number;
  readonly since: number;
  /** A directory is `changed` when something in it is. */
  readonly change: Uint8Array;
  /** The changes of the path and of all below it, as bits. Directories count only by themselves. */
  readonly within: Uint8Array;
  /** The entry that is seen; of a removed path the one that was seen before. -1 for absent. */
  readonly entry: Int32Array;
  /** The bytes of a file, or of all that a directory has. Those that are removed do not count. */
  readonly bytes: Float64Array;
  /** How many entries of a directory are seen. */
  readonly entries: Int32Array;
  /** All files and directories that exist at `upTo`. */
  readonly files: number;
  readonly directories: number;
}

/** The whole image without changes for `{}`. Layers that do not exist mean the nearest one. */
export function viewLayers(
  tree: LayeredTree,
  { upTo, since }: TreeQuery,
): { readonly upTo: number; readonly since: number } {
  const top = Math.max(-1, Math.min(tree.layers - 1, Math.trunc(upTo ?? tree.layers - 1)));
  return { upTo: top, since: Math.max(-1, Math.min(top, Math.trunc(since ?? top))) };
}

/** Computes a view in two passes over all nodes: 100 ms for a million of them. */
export function computeView(tree: LayeredTree, query: TreeQuery): LayersView {
  const { upTo, since } = viewLayers(tree, query);
  const count = tree.nodes;
  const view = {
    upTo,
    since,
    change: new Uint8Array(count),
    within: new Uint8Array(count),
    entry: new Int32Array(count).fill(-1),
    bytes: new Float64Array(count),
    entries: new Int32Array(count),
    files: 0,
    directories: 0,
  };
  // The bytes of a file with several names belong to the one that its layer has first, or else to
  // any of them that is seen.
  const counted = new Uint8Array(tree.entries);
  for (let node = 0; node < count; node++) {
    const now = tree.entryAt(node, upTo);
    const before = upTo === since ? now : tree.entryAt(node, since);
    const change = node === TOP ? CHANGE.unchanged : changeBetween(tree, before, now);
    if (change === CHANGE.absent) continue;
    const shown = change === CHANGE.removed ? before : now;
    view.change[node] = change;
    view.entry[node] = shown;
    const isDirectory = node === TOP || tree.typeOf(shown) === TYPE.directory;
    if (isDirectory) {
      if (change !== CHANGE.removed) view.directories++;
      continue;
    }
    if (change !== CHANGE.removed) view.files++;
    const owner = tree.ownerOf(shown);
    const end = change === CHANGE.removed ? since : upTo;
    if (owner !== shown && tree.entryAt(tree.nodeOf(owner), end) === owner) continue;
    const kind = change === CHANGE.removed ? 2 : 1;
    if ((counted[owner]! & kind) !== 0) continue;
    counted[owner] = counted[owner]! | kind;
    view.bytes[node] = tree.sizeOf(owner);
  }
  for (let node = count - 1; node > TOP; node--) rollUp(tree, view, node);
  view.within[TOP] = view.within[TOP]! | CHANGE.unchanged;
  return view;
}

/** Adds to its parent what a node has. Nodes below it were added to it before. */
function rollUp(tree: LayeredTree, view: LayersView, node: number): void {
  const change = view.change[node]!;
  if (change === CHANGE.absent) return;
  const parent = tree.parentOf(node);
  const own = view.entries[node] === 0 || change !== CHANGE.unchanged ? change : 0;
  const within = view.within[node]! | own;
  view.within[node] = within;
  if (change === CHANGE.unchanged && (within & ~CHANGE.unchanged) !== 0)
    view.change[node] = CHANGE.changed;
  view.within[parent] = view.within[parent]! | within;
  view.entries[parent] = view.entries[parent]! + 1;
  if (change !== CHANGE.removed || view.change[parent] === CHANGE.removed)
    view.bytes[parent] = view.bytes[parent]! + view.bytes[node]!;
}

function changeBetween(tree: LayeredTree, before: number, now: number): ChangeNumber {
  const was = tree.isThere(before);
  if (!tree.isThere(now)) return was ? CHANGE.removed : CHANGE.absent;
  if (!was) return CHANGE.added;
  if (before === now) return CHANGE.unchanged;
  // A file that was written again takes room again, whatever is in it.
  return tree.typeOf(now) === TYPE.directory && tree.isSame(before, now)
    ? CHANGE.unchanged
    : CHANGE.changed;
}

/** How many views are kept. Each takes 18 bytes for a node. */
const KEPT = 3;

/** The views that were asked for last. */
export class ViewCache {
  readonly #tree: LayeredTree;
  #views: LayersView[] = [];
  #matched: { readonly filter: string; readonly nodes: Uint8Array } | undefined;

  constructor(tree: LayeredTree) {
    this.#tree = tree;
  }

  get(query: TreeQuery): LayersView {
    const { upTo, since } = viewLayers(this.#tree, query);
    const known = this.#views.find((view) => view.upTo === upTo && view.since === since);
    const view = known ?? computeView(this.#tree, { upTo, since });
    this.#views = [view, ...this.#views.filter((other) => other !== view)].slice(0, KEPT);
    return view;
  }

  /**
   * By node: 1 when its name, or that of something above or below it, contains the text; else 0. A
   * text with a slash is looked for in the whole path.
   */
  matches(filter: string): Uint8Array {
    if (this.#matched?.filter !== filter)
      this.#matched = { filter, nodes: nodesMatching(this.#tree, filter) };
    return this.#matched.nodes;
  }
}

function nodesMatching(tree: LayeredTree, filter: string): Uint8Array {
  const found = new Uint8Array(tree.nodes);
  if (filter.includes('/')) {
    const part = filter.replace(/^\//, '');
    for (let node = TOP + 1; node < found.length; node++)
      found[node] = found[tree.parentOf(node)] === 1 || tree.pathOf(node).includes(part) ? 1 : 0;
  } else {
    const names = tree.names.containing(filter);
    for (let node = TOP + 1; node < found.length; node++)
      found[node] = found[tree.parentOf(node)]! | names[tree.nameIdOf(node)]!;
  }
  for (let node = found.length - 1; node > TOP; node--)
    if (found[node] === 1) found[tree.parentOf(node)] = 1;
  return found;
}
