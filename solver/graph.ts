import type { Edge, Vertex } from './solver.ts';

/**
 * The identity of a vertex within a solver. Vertices with the same digest are the same vertex,
 * except that one with `ignoreCache` is not the same as one without.
 */
export function vertexId<R>(vertex: Vertex<R>): string {
  return vertex.ignoreCache ? `${vertex.digest} ignore-cache` : vertex.digest;
}

/**
 * Every vertex that the edges depend on, each once, inputs before their readers. Does not recurse:
 * graphs can be thousands of vertices deep.
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
