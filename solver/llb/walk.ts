import type { LlbEdge, LlbVertex } from './graph.ts';

/**
 * Every vertex that `edge` depends on, each once, inputs before their readers and the vertex of
 * `edge` last. This is the order in which BuildKit's client lists the ops of a definition. Does not
 * recurse: a chain may be thousands of vertices long.
 */
export function topological(edge: LlbEdge): LlbVertex[] {
  const done = new Set<LlbVertex>();
  const order: LlbVertex[] = [];
  const stack: { vertex: LlbVertex; next: Iterator<LlbEdge> }[] = [];
  const enter = (vertex: LlbVertex): void => {
    if (done.has(vertex)) return;
    done.add(vertex);
    stack.push({ vertex, next: visitingOrder(vertex)[Symbol.iterator]() });
  };
  enter(edge.vertex);
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const step = top.next.next();
    if (!step.done) {
      enter(step.value.vertex);
      continue;
    }
    order.push(top.vertex);
    stack.pop();
  }
  return order;
}

/**
 * The inputs of a vertex in the order in which BuildKit's client visits them. For a file op that is
 * its base, then the sources from the last action back to the first.
 */
function visitingOrder(vertex: LlbVertex): readonly LlbEdge[] {
  if (vertex.op.kind !== 'file') return vertex.inputs;
  const actions = vertex.op.file.actions;
  const indexes = [
    ...actions.slice(0, 1).map((a) => a.input),
    ...actions.toReversed().map((a) => a.secondaryInput),
  ];
  const known = indexes.filter((i) => i >= 0 && i < vertex.inputs.length);
  return [...new Set([...known, ...vertex.inputs.keys()])].map((i) => vertex.inputs[i] as LlbEdge);
}
