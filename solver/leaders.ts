import type { Digest } from '../base/digest.ts';
import type { Node } from './state.ts';

/**
 * Which node executes a key for all who have it, and executions that were cancelled and are not
 * over.
 */
export interface Leaders<R> {
  of(key: Digest): Node<R> | undefined;
  lead(key: Digest, node: Node<R>): void;
  /** The node leads no more. While its execution is not over, others of its key have to wait. */
  resign(node: Node<R>): void;
  /** True while a cancelled execution of `key` is not over; `waiter` is then queued at its end. */
  isEnding(key: Digest, waiter: Node<R>): boolean;
}

/** `over` is called with the nodes that waited for an execution which is over now. */
export function createLeaders<R>(over: (waiters: Iterable<Node<R>>) => void): Leaders<R> {
  const leaders = new Map<Digest, Node<R>>();
  const endings = new Map<Digest, Set<Node<R>>>();
  const awaitEnd = (key: Digest, node: Node<R>): void => {
    const waiting = new Set<Node<R>>();
    endings.set(key, waiting);
    void Promise.all(node.flights).then(() => {
      endings.delete(key);
      over(waiting);
    });
  };
  return {
    of: (key) => leaders.get(key),
    lead(key, node) {
      leaders.set(key, node);
      node.leads = key;
    },
    resign(node) {
      const { leads: key } = node;
      if (!key) return;
      if (leaders.get(key) === node) leaders.delete(key);
      if (node.state.kind === 'running') awaitEnd(key, node);
    },
    isEnding(key, waiter) {
      endings.get(key)?.add(waiter);
      return endings.has(key);
    },
  };
}
