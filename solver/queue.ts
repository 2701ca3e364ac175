import type { Node } from './state.ts';

/**
 * The nodes that may be able to move, each at most once, and who wants to know when nodes have
 * moved.
 */
export interface MoveQueue<R> {
  enqueue(node: Node<R>): void;
  /**
   * Moves nodes until none can move. A call from within a move does nothing: the pump that runs
   * takes what it has queued.
   */
  pump(): void;
  /** Calls `look` after each pump, until the returned function is called. */
  watch(look: () => void): () => void;
}

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
