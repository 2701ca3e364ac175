import type { Digest } from '../base/digest.ts';
import type { ImageResolver } from '../frontend/frontend.ts';
import type { Gateway, SolvedTree } from '../frontend/gateway.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { type DraftEdge, seal } from '../solver/llb/draft.ts';
import { loadGraphs } from '../solver/load-graphs.ts';
import type { BuildContext } from './build-context.ts';
import { explained, type Solving } from './solving.ts';

/** What a frontend of this build may ask. `vertex` is the step at which its warnings are shown. */
export function openGateway(
  context: BuildContext,
  resolveImage: ImageResolver,
  solving: () => Solving,
  vertex: Digest | undefined,
): Gateway {
  const { progress, signal } = context;
  return {
    buildPlatform: hostPlatform(),
    signal,
    resolveImage,
    solve: (tree) => solveTree(tree, solving(), context),
    // Warnings about the text are shown at the step that read it; others have no line.
    warn: (warning) => progress(warning.source && vertex ? { ...warning, vertex } : warning),
  };
}

/** Solves a tree alone, so that it can be looked into before the rest of the graph is known. */
export async function solveTree(
  tree: DraftEdge,
  { solver, worker, world }: Solving,
  { engine, signal }: BuildContext,
): Promise<SolvedTree> {
  const edge = seal(tree, world.platform);
  const [result] = await explained(
    [edge],
    () => solver.solve(loadGraphs([edge], worker), signal),
    engine.store.root,
    signal,
  );
  const { openSnapshotTree, openDirectoryTree } = await import('./context/solved-tree.ts');
  if (result?.kind === 'directory') return openDirectoryTree(result.root);
  if (result?.kind !== 'snapshot')
    throw new Error('a tree that is solved is a snapshot or a directory');
  return await openSnapshotTree(engine.snapshotter, result.snapshot);
}
