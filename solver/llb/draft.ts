import { type Digest, digestOf } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { LlbEdge, LlbVertex, OpMetadata } from './graph.ts';
import { marshalOp } from './marshal.ts';
import type { LlbOp } from './ops.ts';
import { topological } from './walk.ts';

/**
 * A vertex that has no digest yet. Its op needs the digests of its inputs, and facts that are known
 * only when the whole graph is built, such as which files of the context all stages read. So the op
 * is made when the graph is sealed.
 */
export interface Draft {
  /**
   * The drafts that it reads, in the order in which BuildKit's client visits them. That order
   * decides the order of the definition.
   */
  readonly parents: readonly DraftEdge[];
  /** Makes the op. Called once, after all parents are sealed. */
  make(context: SealContext): SealedOp;
}

/** One output of a draft. In `DraftEdge | undefined`, undefined is the empty tree. */
export interface DraftEdge {
  readonly draft: Draft;
  readonly output: number;
}

/** What a draft gets when it is sealed. */
export interface SealContext {
  /** The platform of ops that name none. */
  readonly platform: Platform;
  /** The sealed vertex of one of the draft's parents. */
  readonly seal: (edge: DraftEdge) => LlbEdge;
}

/** What a draft makes when it is sealed. */
export interface SealedOp {
  readonly op: LlbOp;
  readonly inputs: readonly LlbEdge[];
  readonly metadata: OpMetadata;
}

/**
 * Turns a draft and everything below it into vertices. Equal ops become one vertex with combined
 * metadata: the later name wins; capabilities and source locations are joined. `weigh` is called
 * with the size of each op in bytes. It may throw to refuse a graph that is too large, because
 * every RUN holds its whole environment.
 */
export function seal(
  edge: DraftEdge,
  platform: Platform,
  weigh: (bytes: number) => void = () => {},
): LlbEdge {
  const sealed = new Map<Draft, LlbVertex>();
  const byDigest = new Map<Digest, LlbVertex & { metadata: OpMetadata }>();
  const find = ({ draft, output }: DraftEdge): LlbEdge => {
    const vertex = sealed.get(draft);
    if (!vertex) throw new Error('a draft was not among the parents of its reader');
    return { vertex, output };
  };
  for (const draft of parentsFirst(edge.draft)) {
    const { op, inputs, metadata } = draft.make({ platform, seal: find });
    const bytes = marshalOp(
      op,
      inputs.map((input) => ({ digest: input.vertex.digest, index: input.output })),
    );
    weigh(bytes.length);
    const digest = digestOf(bytes);
    const equal = byDigest.get(digest);
    const vertex = equal ?? { digest, bytes, op, inputs, metadata };
    if (equal) equal.metadata = mergeMetadata(equal.metadata, metadata);
    byDigest.set(digest, vertex);
    sealed.set(draft, vertex);
  }
  return find(edge);
}

/** A graph that is sealed, as one that more can be built on. Sealed again it is the same. */
export function drafted(edge: LlbEdge): DraftEdge {
  const drafts = new Map<LlbVertex, Draft>();
  const draftOf = ({ vertex, output }: LlbEdge): DraftEdge => {
    const draft = drafts.get(vertex);
    if (!draft) throw new Error('a vertex comes before its inputs');
    return { draft, output };
  };
  for (const vertex of topological(edge)) {
    const { op, metadata } = vertex;
    const parents = vertex.inputs.map(draftOf);
    const make = ({ seal: find }: SealContext) => ({ op, inputs: parents.map(find), metadata });
    drafts.set(vertex, { parents, make });
  }
  return draftOf(edge);
}

/**
 * All drafts below `last`, parents first. Does not recurse: a stage may have thousands of steps.
 */
function parentsFirst(last: Draft): Draft[] {
  const seen = new Set<Draft>([last]);
  const order: Draft[] = [];
  const stack = [{ draft: last, next: 0 }];
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const parent = top.draft.parents[top.next++];
    if (!parent) {
      order.push(top.draft);
      stack.pop();
    } else if (!seen.has(parent.draft)) {
      seen.add(parent.draft);
      stack.push({ draft: parent.draft, next: 0 });
    }
  }
  return order;
}

function mergeMetadata(first: OpMetadata, second: OpMetadata): OpMetadata {
  const progressGroup = second.progressGroup ?? first.progressGroup;
  return {
    ...((first.ignoreCache || second.ignoreCache) && { ignoreCache: true }),
    description: { ...first.description, ...second.description },
    caps: [...new Set([...first.caps, ...second.caps])].sort(),
    ...(progressGroup && { progressGroup }),
    locations: [...first.locations, ...second.locations],
  };
}
