import type { Bridge } from '../../builder/bridge.ts';
import { sourceGate } from '../../builder/source-gate.ts';
import type { SourceGate } from '../../builder/sources-admitted.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import type { Policy } from '../proto/sourcepolicy.gen.ts';
import { readPolicies } from './source-policies.ts';

/** The gate of a build, with the policies of one call after its own. */
export function gateFor(bridge: Bridge, policies: readonly Policy[]): SourceGate | undefined {
  const more = readPolicies(policies);
  if (more.length === 0) return bridge.gate;
  return bridge.gate?.stricter(more) ?? sourceGate(more, undefined, bridge);
}

/**
 * A graph as the policies of one call leave it. Those of the build are applied when it is solved.
 */
export async function ofPolicies(
  edge: LlbEdge | undefined,
  policies: readonly Policy[],
  bridge: Bridge,
): Promise<LlbEdge | undefined> {
  if (!edge || policies.length === 0) return edge;
  return (await gateFor(bridge, policies)?.graph(edge)) ?? edge;
}
