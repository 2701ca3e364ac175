import { vertexId } from './graph.ts';
import type { Vertex } from './solver.ts';
import { type Node, WANT } from './state.ts';

/** The nodes of one solver. */
export interface Nodes<R> {
  /** The node of a vertex, which must have been entered. */
  get(vertex: Vertex<R>): Node<R>;
  /**
   * Adds one to the interest in the vertices, which must come inputs first. Makes a node of each
   * that has none yet, and calls `isNew` with it. Returns the nodes in the same order.
   */
  enter(vertices: readonly Vertex<R>[], isNew: (vertex: Vertex<R>) => void): readonly Node<R>[];
  /** True unless the node has been forgotten. */
  has(node: Node<R>): boolean;
  /**
   * Resets the node to its initial state. Returns the controller that aborts its work in progress.
   */
  forget(node: Node<R>): AbortController;
}

export function createNodes<R>(): Nodes<R> {
  const nodes = new Map<string, Node<R>>();
  const get = (vertex: Vertex<R>) => nodes.get(vertexId(vertex))!;
  return {
    get,
    has: (node) => nodes.get(node.id) === node,
    enter: (vertices, isNew) =>
      vertices.map((vertex) => {
        const id = vertexId(vertex);
        const known = nodes.get(id);
        const node = known ?? newNode(id, vertex);
        nodes.set(id, node);
        node.interest++;
        node.inputs = vertex.inputs.map((edge) => get(edge.vertex));
        for (const input of node.inputs) input.observers.add(node);
        if (!known) isNew(vertex);
        return node;
      }),
    forget(node) {
      nodes.delete(node.id);
      const { abort } = node;
      node.abort = new AbortController();
      node.state = { kind: 'new' };
      node.want = WANT.nothing;
      return abort;
    },
  };
}

function newNode<R>(id: string, vertex: Vertex<R>): Node<R> {
  return {
    id,
    vertex,
    inputs: [],
    observers: new Set(),
    asked: new Set(),
    state: { kind: 'new' },
    want: WANT.nothing,
    interest: 0,
    queued: false,
    abort: new AbortController(),
    flights: new Set(),
    reported: false,
    leads: undefined,
  };
}

/** True if a node that a running solve is interested in follows the execution of this one. */
export function hasFollowers<R>(leader: Node<R>): boolean {
  for (const node of leader.observers) {
    if (node.interest > 0 && node.state.kind === 'following' && node.state.leader === leader)
      return true;
  }
  return false;
}
