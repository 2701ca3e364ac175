import type { LlbEdge } from './graph.ts';
import type { LlbOp } from './ops.ts';
import { topological } from './walk.ts';

const LOCAL = 'local://';

/** The name of the caller's directory that an op stands for. Undefined for every other op. */
export function localName(op: LlbOp): string | undefined {
  if (op.kind !== 'source' || !op.source.identifier.startsWith(LOCAL)) return undefined;
  return op.source.identifier.slice(LOCAL.length);
}

/** The identifiers of all sources that `edge` depends on, such as `docker-image://…`. */
export function sourcesBelow(edge: LlbEdge): readonly string[] {
  return topological(edge).flatMap(({ op }) =>
    op.kind === 'source' ? [op.source.identifier] : [],
  );
}
