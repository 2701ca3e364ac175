import type { Reporter } from './reporter.ts';
import type { SolverOptions } from './solver.ts';
import { identityOf, type Node, type State, WANT } from './state.ts';

/**
 * Reports each vertex that did not run as cached, once, and records in the cache that its record
 * was used (`CacheStore.touch`), so that it is pruned later.
 */
export interface CachedVertices<R> {
  /**
   * Called when a node becomes done. Does nothing for one that ran: `Execution` reported and saved
   * it.
   */
  done(node: Node<R>, state: State<R> & { kind: 'done' }): void;
  /** Reports nodes that never ran because a later vertex came from a record. */
  unneeded(nodes: readonly Node<R>[]): void;
}

export function createCachedVertices<R>(
  { cache, elsewhere }: Pick<SolverOptions<R>, 'cache' | 'elsewhere'>,
  reporter: Reporter<R>,
): CachedVertices<R> {
  function show(node: Node<R>): void {
    node.reported = true;
    reporter.cached(node.vertex);
  }

  /**
   * Reports the vertices below a cached one as cached, inputs first, if they have a record too.
   * They are not waited for, so without this a long build would show nothing of them until its end.
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
          elsewhere?.hasTold(input.vertex.digest) ||
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
        if (node.reported || elsewhere?.hasTold(node.vertex.digest)) continue;
        const key = identityOf(node.state)?.key;
        if (key) cache.touch(key);
        show(node);
      }
    },
  };
}
