import type { TreemapBox, TreemapQuery } from './contents.ts';
import { directoryNode, isDirectoryIn } from './directory.ts';
import type { LayeredTree } from './layered-tree.ts';
import { CHANGE, type LayersView } from './layers-view.ts';
import type { OpenContents } from './open-contents.ts';

const USUAL_DEPTH = 3;
const USUAL_BOXES = 500;
const MOST_BOXES = 5000;
const MOST_DEPTH = 32;

interface Box {
  readonly node: number;
  readonly depth: number;
  readonly boxes: Box[];
}

/**
 * The largest entries below a directory, as boxes in boxes. No entry that is left out is larger
 * than one that is shown at a level that is asked for. Throws KILN_IMAGE_PATH.
 */
export function treemap(contents: OpenContents, query: TreemapQuery): TreemapBox {
  const { tree } = contents;
  const view = contents.views.get(query);
  const top: Box = { node: directoryNode(tree, view, query), depth: 0, boxes: [] };
  const depth = Math.min(MOST_DEPTH, query.depth ?? USUAL_DEPTH);
  let room = Math.min(MOST_BOXES, query.limit ?? USUAL_BOXES);
  const sizeOf = (box: Box) => view.bytes[box.node]!;
  const waiting = new Heap(sizeOf);
  const parents = new Map<Box, Box>();
  const open = (box: Box) => {
    if (box.depth >= depth || !isDirectoryIn(tree, view, box.node)) return;
    for (const node of tree.childrenOf(box.node)) {
      if (view.bytes[node] === 0 || !isLive(view, node)) continue;
      const inner = { node, depth: box.depth + 1, boxes: [] };
      parents.set(inner, box);
      waiting.push(inner);
    }
  };
  open(top);
  for (let box = waiting.pop(); box && room > 0; box = waiting.pop(), room--) {
    parents.get(box)!.boxes.push(box);
    open(box);
  }
  return shown(tree, view, top);
}

function isLive(view: LayersView, node: number): boolean {
  return view.change[node] !== CHANGE.absent && view.change[node] !== CHANGE.removed;
}

function shown(tree: LayeredTree, view: LayersView, { node, boxes }: Box): TreemapBox {
  return {
    id: node,
    name: tree.nameOf(node),
    bytes: view.bytes[node]!,
    isDirectory: isDirectoryIn(tree, view, node),
    boxes: boxes.map((box) => shown(tree, view, box)),
  };
}

/** Gives back the largest of what was put in. */
class Heap {
  readonly #items: Box[] = [];
  readonly #size: (box: Box) => number;

  constructor(size: (box: Box) => number) {
    this.#size = size;
  }

  push(box: Box): void {
    const items = this.#items;
    let at = items.push(box) - 1;
    for (let above = (at - 1) >> 1; at > 0; at = above, above = (at - 1) >> 1) {
      if (this.#size(items[above]!) >= this.#size(box)) break;
      items[at] = items[above]!;
      items[above] = box;
    }
  }

  pop(): Box | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined || items.length === 0) return top;
    let at = 0;
    items[0] = last;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) return top;
      const right = below + 1;
      if (right < items.length && this.#size(items[right]!) > this.#size(items[below]!))
        below = right;
      if (this.#size(items[below]!) <= this.#size(last)) return top;
      items[at] = items[below]!;
      items[below] = last;
      at = below;
    }
  }
}
