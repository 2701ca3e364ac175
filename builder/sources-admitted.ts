import type { ImageResolver } from '../frontend/frontend.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import type { AdmitSource } from '../solver/source-policy/admit-graph.ts';
import type { SourcePolicy } from '../solver/source-policy/policy.ts';

/**
 * # The gate that sources of a build pass
 *
 * With a source policy, every source of every graph, and every image whose config is looked up, is
 * admitted, replaced or refused first. A build without policies has no gate.
 */
export interface SourceGate {
  /** The graph with the sources that are used. Throws KILN_SOURCE_DENIED with its line. */
  readonly graph: (edge: LlbEdge) => Promise<LlbEdge>;
  /** Looks up the image that is used in the place of another one. */
  readonly images: (resolve: ImageResolver) => ImageResolver;
  /** The source that is used in the place of one, for whoever looks it up. */
  readonly source: AdmitSource;
  /** A gate with more policies after those of the build. */
  readonly stricter: (more: readonly SourcePolicy[]) => SourceGate;
}
