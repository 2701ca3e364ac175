import type { CacheStore } from '../cache/cache.ts';
import type { Reporter } from './reporter.ts';
import { identityOf, type Node, type State, WANT } from './state.ts';

/** Shows what did not have to run as cached, once, and notes its use in the cache. */
export interface CachedVertices<R> {
  /** A node is done. One that ran has been shown and saved. */
  done(node: Node<R>, state: State<R> & { kind: 'done' }): void;
  /** Nobody needed these: a later vertex came from a record. */
  unneeded(nodes: readonly Node<R>[]): void;
}

export function createCachedVertices<R>(
  cache: CacheStore,
  reporter: Reporter<R>,
): CachedVertices<R> {
  function show(node: Node<R>): void {
    node.reported = true;
    reporter.cached(node.vertex);
  }

  /**
   * What a cached vertex rests on and has a record too: shown at once, in order, so that a long
   * build shows where it is.
   */
  function showBelow(node: Node<R>): void {
    const spared: Node<R>[] = [];
    const stack = [node];
    const visited = new Set<Node<R>>(stack);
    for (let top = stack.pop(); top; top = stack.pop()) {
      for (const input of top.inputs) {
        const identity = identityOf(input.state);
        if (
          visited.has(input) ||
          input.reported ||
          input.want === WANT.result ||
          !identity?.key ||
          identity.fresh
        )
          continue;
        visited.add(input);
        stack.push(input);
        if (cache.load(identity.key) ?? cache.imported?.load(identity.key)[0]) spared.push(input);
      }
    }
    for (const input of spared.reverse()) {
      cache.touch(identityOf(input.state)!.key!);
      show(input);
    }
  }

  return {
    done(node, { how, identity: { key, links } }) {
      if (how === 'ran') return;
      if (key) {
        for (const link of links) cache.link(link, key);
        cache.touch(key);
      }
      if (node.reported) return;
      showBelow(node);
      show(node);
    },
    unneeded(nodes) {
      for (const node of nodes) {
        if (node.reported) continue;
        const key = identityOf(node.state)?.key;
        if (key) cache.touch(key);
        show(node);
      }
    },
  };
}
