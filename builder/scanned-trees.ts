import type { Snapshot } from '../snapshotter/snapshotter.ts';
import type { AnsweredTarget } from './answered-target.ts';
import { resultOf } from './gateway.ts';
import type { Solving } from './solving.ts';
import { exportable } from './whole-directory.ts';

/**
 * Solves the trees that a Dockerfile wants in the SBOM of a target besides the result. What the
 * ignore file leaves out of a context is not in its tree.
 */
export async function solveScanned(
  { scanned }: AnsweredTarget,
  solving: Solving,
): Promise<ReadonlyMap<string, Snapshot>> {
  const trees = new Map<string, Snapshot>();
  for (const [name, edge] of scanned?.trees ?? []) {
    const result = await resultOf(exportable(edge), solving);
    if (result?.kind === 'snapshot') trees.set(name, result.snapshot);
  }
  return trees;
}
