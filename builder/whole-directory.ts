import { hostPlatform } from '../registry/platforms.ts';
import { fileChanges } from '../solver/llb/builder.ts';
import { drafted, seal } from '../solver/llb/draft.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';

/**
 * A graph whose result can be exported. Where a directory of the caller is the result itself, it is
 * copied: an image consists of layers, and the caller may change the directory at any time.
 */
export function exportable(edge: LlbEdge): LlbEdge {
  const { op } = edge.vertex;
  if (op.kind !== 'source' || !op.source.identifier.startsWith('local://')) return edge;
  const copy = {
    src: '/',
    dest: '/',
    mode: -1,
    timestamp: -1,
    followSymlink: false,
    dirCopyContents: true,
    attemptUnpackDockerCompatibility: false,
    createDestPath: false,
    allowWildcard: false,
    allowEmptyWildcard: false,
  };
  const name = `copy of ${op.source.identifier}`;
  const whole = fileChanges(undefined, [{ kind: 'copy', from: drafted(edge), copy }], { name });
  return seal(whole, hostPlatform());
}
