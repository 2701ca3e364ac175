import { type Digest, digestOf } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { LlbEdge, LlbVertex, OpMetadata } from './graph.ts';
import { marshalOp } from './marshal.ts';
import type { LlbOp } from './ops.ts';

/**
 * A vertex that is still being described: what it needs of its parents (their digests) and of the
 * build (which files of the context all stages together read) is only known at the end, so its op
 * is made when the whole graph is sealed.
 */
export interface Draft {
  /**
   * What it reads, in the order in which BuildKit's client visits it: that decides the order of the
   * definition.
   */
  readonly parents: readonly DraftEdge[];
  make(context: SealContext): Made;
}

/**
 * One output of a draft. Where `DraftEdge | undefined` is said, undefined is the empty file tree.
 */
export interface DraftEdge {
  readonly draft: Draft;
  readonly output: number;
}

export interface SealContext {
  /** The platform of an exec that has no other reason for one. */
  readonly platform: Platform;
  readonly seal: (edge: DraftEdge) => LlbEdge;
}

export interface Made {
  readonly op: LlbOp;
  readonly inputs: readonly LlbEdge[];
  readonly metadata: OpMetadata;
}

/**
 * Turns drafts into vertices. Drafts that turn out equal become one vertex with the metadata of
 * all: the later name wins, capabilities and places are joined. `weigh` is told of the size of each
 * op, and may throw: every RUN has its whole environment in its op.
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

/** Without recursion: a stage may have thousands of steps. */
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
