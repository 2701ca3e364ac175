import { type Digest, digestOfParts } from '../../base/digest.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import type { LlbVertex } from '../../solver/llb/graph.ts';
import { sourcesBelow } from '../../solver/llb/sources.ts';
import { rowOf } from './placement.ts';
import type { NearName } from './pool.ts';

/**
 * # Names of what a sub-graph reads
 *
 * A worker that did work of the same name last is likely to have the bases, the files of the
 * context, the layers and the cache mounts. The names, the one that says most first: the key of
 * the lowest process of the row of steps, whose result the others stand on; the texts of the steps,
 * which stay when files change; the sources alone. Nothing else is told by them: they are digests.
 */
export function nearNames(
  vertex: LlbVertex,
  platform: Platform,
  keyOf: (vertex: LlbVertex) => Digest | undefined,
): readonly NearName[] {
  const row = rowOf(vertex);
  const lowest = row.findLast(({ op }) => op.kind === 'exec');
  const key = lowest && keyOf(lowest);
  const sources = sourcesBelow({ vertex, output: 0 });
  const read = [formatPlatform(platform), ...sources.toSorted()];
  const texts = row.map(({ metadata }) => metadata.description['llb.customname'] ?? '');
  return [
    ...(key ? [{ name: key, isWeak: false }] : []),
    { name: digestOfParts(['kiln.near.steps', ...read, ...texts]), isWeak: false },
    { name: digestOfParts(['kiln.near.sources', ...read]), isWeak: true },
  ];
}
