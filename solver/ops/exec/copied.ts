import type { BuildResult } from '../../result.ts';
import type { World } from '../../world.ts';
import { treeOf } from '../file/run.ts';
import { copyWhole } from '../file/whole.ts';

/** Copies what is at `path` of a tree to the same path below `to`, with owners, modes and times as they are in the tree. */
export async function copyTree(input: BuildResult, path: string, to: string, world: World, signal: AbortSignal): Promise<void> {
  await using scope = new AsyncDisposableStack();
  const tree =
    input.kind === 'directory' ? treeOf(input) : { root: scope.use(await world.snapshotter.view(input.snapshot)).root };
  await copyWhole({ tree, path, to, hasher: world.hasher, pool: world.copyPool, mountedOnly: true }, signal);
}
