import type { Digest } from '../base/digest.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { ImageResolver } from '../frontend/frontend.ts';
import type { Gateway, SolvedTree } from '../frontend/gateway.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { type DraftEdge, seal } from '../solver/llb/draft.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { loadGraphs } from '../solver/load-graphs.ts';
import type { BuildResult } from '../solver/result.ts';
import type { Solving } from './solving.ts';

/** How a gateway tells of its calls, and when they end. */
interface GatewayCalls {
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/**
 * Makes the gateway of a frontend. Warnings about the text of the Dockerfile are shown at `vertex`,
 * the step that loaded it.
 */
export function openGateway(
  resolveImage: ImageResolver,
  solving: () => Solving,
  vertex: Digest | undefined,
  { progress, signal }: GatewayCalls,
): Gateway {
  return {
    buildPlatform: hostPlatform(),
    signal,
    resolveImage,
    solve: (tree) => solveTree(tree, solving()),
    // A warning without a source is about the whole build and belongs to no step.
    warn: (warning) => progress(warning.source && vertex ? { ...warning, vertex } : warning),
  };
}

/**
 * Solves one tree, so that its files can be read before the rest of the graph is known. Throws the
 * explained error of the step that failed.
 */
export async function solveTree(tree: DraftEdge, solving: Solving): Promise<SolvedTree> {
  return await solveEdge(seal(tree, solving.worker.platforms[0]), solving);
}

/** Like `solveTree`, for a tree whose graph is sealed. */
export async function solveEdge(edge: LlbEdge, solving: Solving): Promise<SolvedTree> {
  const result = await resultOf(edge, solving);
  const { openSnapshotTree, openDirectoryTree } = await import('./context/solved-tree.ts');
  if (result?.kind === 'directory') return openDirectoryTree(result.root);
  if (result?.kind !== 'snapshot')
    throw new Error('a tree that is solved is a snapshot or a directory');
  return await openSnapshotTree(solving.snapshotter, result.snapshot);
}

/** Solves one graph. Throws the explained error of the step that failed. */
export async function resultOf(
  asked: LlbEdge,
  { solver, settings, worker, session, signal, explained, gate, caches, record }: Solving,
): Promise<BuildResult | undefined> {
  const edge = gate ? await gate.graph(asked) : asked;
  const imported = caches();
  record([edge]);
  return await explained([edge], async () => {
    const edges = loadGraphs([edge], worker, session.allowed);
    if (!imported?.imports) return (await solver.solve(edges, signal))[0];
    const [solved] = await imported.solveAside({ settings, edges, mayStayRemote: false });
    return solved?.result;
  });
}
