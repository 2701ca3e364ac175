import type { Edge, Vertex } from './solver.ts';

/**
 * The name of a vertex within a solver: vertices of one op are one vertex, but one that must not
 * use the cache is another than one that may.
 */
export function vertexId<R>(vertex: Vertex<R>): string {
  return vertex.ignoreCache ? `${vertex.digest} ignore-cache` : vertex.digest;
}

/**
 * Every vertex the edges rest on, inputs before their readers, each once. Takes no stack: graphs
 * are thousands of vertices deep.
 */
export function verticesOf<R>(edges: readonly Edge<R>[]): Vertex<R>[] {
  const order: Vertex<R>[] = [];
  const entered = new Set<string>();
  const stack: { vertex: Vertex<R>; next: number }[] = [];
  const enter = (vertex: Vertex<R>) => {
    const id = vertexId(vertex);
    if (entered.has(id)) return;
    entered.add(id);
    stack.push({ vertex, next: 0 });
  };
  for (const edge of edges) {
    enter(edge.vertex);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const input = top.vertex.inputs[top.next++];
      if (input) enter(input.vertex);
      else order.push(stack.pop()!.vertex);
    }
  }
  return order;
}
