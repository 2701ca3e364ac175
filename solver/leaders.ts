import type { Digest } from '../base/digest.ts';
import type { Node } from './state.ts';

/**
 * Of the nodes that have the same key, one executes: its leader. The others follow it. This also
 * keeps track of executions that were cancelled and have not ended yet.
 */
export interface Leaders<R> {
  /** The leader of a key, if it has one. */
  of(key: Digest): Node<R> | undefined;
  lead(key: Digest, node: Node<R>): void;
  /**
   * The node stops being a leader. If its execution is still running, `isEnding` is true for the
   * key until it has ended.
   */
  resign(node: Node<R>): void;
  /**
   * True while a cancelled execution of `key` has not ended. `over` is called with `waiter` when it
   * has.
   */
  isEnding(key: Digest, waiter: Node<R>): boolean;
}

/** `over` is called when a cancelled execution has ended, with the nodes that waited for it. */
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
