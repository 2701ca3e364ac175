import { digestOf } from '../../base/digest.ts';
import type { ExecOp } from '../llb/exec-op.ts';
import type { FileActionCopy } from '../llb/file-op.ts';
import type { LlbEdge, OpMetadata } from '../llb/graph.ts';
import { marshalOp } from '../llb/marshal.ts';
import type { Mount } from '../llb/mount.ts';
import type { LlbOp } from '../llb/ops.ts';

/** Small LLB graphs for tests. Bytes and digests of the vertices are real. */

export function llb(
  op: LlbOp,
  inputs: readonly LlbEdge[] = [],
  metadata: Partial<OpMetadata> = {},
): LlbEdge {
  const bytes = marshalOp(
    op,
    inputs.map(({ vertex, output }) => ({ digest: vertex.digest, index: output })),
  );
  const full = { description: {}, caps: [], locations: [], ...metadata };
  return { vertex: { digest: digestOf(bytes), bytes, op, inputs, metadata: full }, output: 0 };
}

export function source(identifier: string, attrs: Record<string, string> = {}): LlbEdge {
  return llb({ kind: 'source', source: { identifier, attrs } });
}

/** An exec op on the root file system `root`, or on an empty one. */
export function exec(
  args: readonly string[],
  root?: LlbEdge,
  more: Partial<Omit<ExecOp, 'meta' | 'mounts'>> & { readonly mounts?: readonly Mount[] } = {},
  metadata: Partial<OpMetadata> = {},
): LlbEdge {
  const { mounts = [], ...rest } = more;
  const top: Mount = { input: root ? 0 : -1, dest: '/', output: 0 };
  const op: ExecOp = {
    meta: { args, env: [], cwd: '/' },
    network: 0,
    security: 0,
    ...rest,
    mounts: [top, ...mounts],
  };
  return llb({ kind: 'exec', exec: op }, root ? [root] : [], metadata);
}

/** What the Dockerfile frontend sets in every plain COPY. */
export const COPY: FileActionCopy = {
  src: '/',
  dest: '/',
  mode: -1,
  followSymlink: true,
  dirCopyContents: true,
  attemptUnpackDockerCompatibility: false,
  createDestPath: true,
  allowWildcard: true,
  allowEmptyWildcard: true,
  timestamp: -1,
};

/** A COPY of `src` of `from` to `dest` of an empty tree. */
export function copy(from: LlbEdge, src: string, dest: string): LlbEdge {
  const action = { ...COPY, src, dest };
  const actions = [
    { input: -1, secondaryInput: 0, output: 0, action: { kind: 'copy' as const, copy: action } },
  ];
  return llb({ kind: 'file', file: { actions } }, [from]);
}

export function merge(...inputs: readonly LlbEdge[]): LlbEdge {
  return llb({ kind: 'merge', merge: { inputs: inputs.map((_, input) => ({ input })) } }, inputs);
}
