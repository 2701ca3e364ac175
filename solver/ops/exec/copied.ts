import type { FileActionCopy } from '../../llb/ops.ts';
import type { BuildResult } from '../../result.ts';
import type { World } from '../../world.ts';
import { performCopy, selectionOf } from '../file/perform.ts';
import { treeOf } from '../file/run.ts';

/** Copies what is at `path` of a tree to the same path below `to`, with owners, modes and times as they are in the tree. */
export async function copyTree(input: BuildResult, path: string, to: string, world: World, signal: AbortSignal): Promise<void> {
  await using scope = new AsyncDisposableStack();
  const tree =
    input.kind === 'directory' ? treeOf(input) : { root: scope.use(await world.snapshotter.view(input.snapshot)).root };
  const copy: FileActionCopy = {
    src: path,
    dest: path,
    mode: -1,
    followSymlink: false,
    dirCopyContents: true,
    attemptUnpackDockerCompatibility: false,
    createDestPath: true,
    allowWildcard: false,
    allowEmptyWildcard: false,
    timestamp: -1,
  };
  const selected = await world.hasher.read(tree, selectionOf(copy), signal);
  const overrides = { owner: undefined, mode: undefined, time: undefined };
  await performCopy({ copy, tree, selected, to, overrides, pool: world.copyPool }, signal);
}
