import { hostPlatform } from '../registry/platforms.ts';
import { fileChanges } from '../solver/llb/builder.ts';
import { drafted, seal } from '../solver/llb/draft.ts';
import { COPY_TREE } from '../solver/llb/file-op.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { localName } from '../solver/llb/sources.ts';

/**
 * A graph whose result can be exported. Where a directory of the caller is the result itself, it is
 * copied: an image consists of layers, and the caller may change the directory at any time.
 */
export function exportable(edge: LlbEdge): LlbEdge {
  const local = localName(edge.vertex.op);
  if (local === undefined) return edge;
  const name = `copy of local://${local}`;
  const whole = fileChanges(undefined, [{ kind: 'copy', from: drafted(edge), copy: COPY_TREE }], {
    name,
  });
  return seal(whole, hostPlatform());
}
