import type { Node } from './state.ts';

/**
 * The queue of nodes whose state may change, each at most once, and the watchers that are notified
 * after changes.
 */
export interface MoveQueue<R> {
  /** Adds the node, unless it is already in the queue. Nothing moves until `pump`. */
  enqueue(node: Node<R>): void;
  /**
   * Moves nodes until the queue is empty. When it is called from within a move it does nothing: the
   * call that is already running continues with the nodes queued meanwhile.
   */
  pump(): void;
  /** Calls `look` after each pump, until the returned function is called. */
  watch(look: () => void): () => void;
}

/** `move` changes the state of a node if it can, and may enqueue nodes. */
export function createMoveQueue<R>(move: (node: Node<R>) => void): MoveQueue<R> {
  const watchers = new Set<() => void>();
  let queue: Node<R>[] = [];
  let pumping = false;
  return {
    enqueue(node) {
      if (node.queued) return;
      node.queued = true;
      queue.push(node);
    },
    pump() {
      if (pumping) return;
      pumping = true;
      while (queue.length > 0) {
        const batch = queue;
        queue = [];
        for (const node of batch) {
          node.queued = false;
          move(node);
        }
      }
      pumping = false;
      for (const look of [...watchers]) look();
    },
    watch(look) {
      watchers.add(look);
      return () => watchers.delete(look);
    },
  };
}
