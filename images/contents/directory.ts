import { KilnError } from '../../base/errors.ts';
import { compareNames } from '../../snapshotter/sys/name-bytes.ts';
import { shownPath } from '../../snapshotter/sys/treepaths.ts';
import {
  type ContentsChange,
  type ContentsEntry,
  type ContentsKind,
  type DirectoryPage,
  type DirectoryQuery,
  MAX_PAGE,
} from './contents.ts';
import { type LayeredTree, MARK, TOP, TYPE } from './layered-tree.ts';
import { CHANGE, CHANGE_NAMES, type LayersView } from './layers-view.ts';
import type { OpenContents } from './open-contents.ts';

/**
 * The entries of one directory. Throws KILN_IMAGE_PATH when there is no such directory in
 * the tree that is asked for.
 */
export function directory(contents: OpenContents, query: DirectoryQuery): DirectoryPage {
  const { tree } = contents;
  const view = contents.views.get(query);
  const id = directoryNode(tree, view, query);
  const nodes = childrenSeen(contents, view, id, query);
  const offset = Math.max(0, Math.trunc(query.offset ?? 0));
  const limit = Math.max(0, Math.min(MAX_PAGE, Math.trunc(query.limit ?? MAX_PAGE)));
  return {
    id,
    path: tree.pathOf(id),
    total: nodes.length,
    offset,
    entries: nodes.slice(offset, offset + limit).map((node) => contentsEntry(tree, view, node)),
  };
}

/** The node that a query names. Throws KILN_IMAGE_PATH unless it is a directory. */
export function directoryNode(
  tree: LayeredTree,
  view: LayersView,
  { id, path }: Pick<DirectoryQuery, 'id' | 'path'>,
): number {
  const node = path === undefined ? (id ?? TOP) : tree.find(path);
  const isThere =
    Number.isInteger(node) && node >= 0 && node < tree.nodes && view.change[node] !== CHANGE.absent;
  if (isThere && isDirectoryIn(tree, view, node)) return node;
  const shown = path === undefined ? `number ${id}` : shownPath(path);
  throw new KilnError(
    'KILN_IMAGE_PATH',
    `${shown} is not a directory of these layers of the image`,
  );
}

/** True for a directory, and for one that is removed. `node` is not absent. */
export function isDirectoryIn(tree: LayeredTree, view: LayersView, node: number): boolean {
  return node === TOP || tree.typeOf(view.entry[node]!) === TYPE.directory;
}

/** The nodes of the entries that a query asks for, in its order. */
export function childrenSeen(
  contents: Pick<OpenContents, 'tree' | 'views'>,
  view: LayersView,
  id: number,
  { changes, filter, sort }: Pick<DirectoryQuery, 'changes' | 'filter' | 'sort'>,
): readonly number[] {
  const { tree } = contents;
  const wanted = changeBits(changes);
  const matches = filter ? contents.views.matches(filter) : undefined;
  const nodes: number[] = [];
  for (const node of tree.childrenOf(id))
    if ((view.within[node]! & wanted) !== 0 && matches?.[node] !== 0) nodes.push(node);
  if (sort === 'size') return nodes.sort((a, b) => view.bytes[b]! - view.bytes[a]! || a - b);
  const names = new Map(nodes.map((node) => [node, tree.nameOf(node)]));
  return nodes.sort((a, b) => compareNames(names.get(a)!, names.get(b)!));
}

const BITS: Readonly<Record<ContentsChange, number>> = {
  added: CHANGE.added,
  changed: CHANGE.changed,
  removed: CHANGE.removed,
  unchanged: CHANGE.unchanged,
};

function changeBits(changes: readonly ContentsChange[] | undefined): number {
  if (!changes) return 15;
  return changes.reduce((bits, change) => bits | (BITS[change] ?? 0), 0);
}

const KINDS: readonly ContentsKind[] = [
  'file',
  'file',
  'directory',
  'symlink',
  'char',
  'block',
  'fifo',
];

export function contentsKindOf(type: number): ContentsKind {
  return KINDS[type] ?? 'file';
}

/** A node of the view, which is not absent and not the root. */
export function contentsEntry(tree: LayeredTree, view: LayersView, node: number): ContentsEntry {
  const entry = view.entry[node]!;
  const facts = tree.factsOf(entry);
  const change = CHANGE_NAMES[view.change[node]!] ?? 'unchanged';
  const shown = change === 'removed' ? removalAt(tree, node, view.upTo) : entry;
  const type = contentsKindOf(facts.type);
  const isHardLink = tree.has(entry, MARK.hardLink);
  const target =
    facts.type === TYPE.symlink && !isHardLink
      ? tree.names.text(facts.target)
      : isHardLink
        ? tree.pathOf(tree.nodeOf(facts.target))
        : undefined;
  return {
    id: node,
    name: tree.nameOf(node),
    type,
    change,
    layer: tree.layerOf(shown),
    mode: facts.mode,
    uid: facts.uid,
    gid: facts.gid,
    size: view.bytes[node]!,
    modified: facts.modified * 1000,
    ...(target !== undefined && { target }),
    ...(isHardLink && { isHardLink }),
    ...((type === 'char' || type === 'block') &&
      !isHardLink && {
        device: { major: facts.target >>> 20, minor: facts.target & 0xfffff },
      }),
    ...(type === 'directory' && { entries: view.entries[node]! }),
  };
}

/** The entry that says that a path is gone. */
function removalAt(tree: LayeredTree, node: number, upTo: number): number {
  let entry = tree.entryAt(node, upTo);
  // It may have been removed, made and removed again: the first layer after which it is not there.
  for (
    let below = tree.previousOf(entry);
    below >= 0 && !tree.isThere(below);
    below = tree.previousOf(entry)
  )
    entry = below;
  return entry;
}
