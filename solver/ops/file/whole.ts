import type { SelectionHasher } from '../../../cache/contenthash/hasher.ts';
import type { Tree } from '../../../cache/contenthash.ts';
import type { FileActionCopy } from '../../llb/ops.ts';
import type { CopyPool } from './inparts.ts';
import { performCopy, selectionOf } from './perform.ts';

export interface WholeCopy {
  readonly tree: Tree;
  /** What to copy, in the tree; it gets the same path below `to`. */
  readonly path: string;
  readonly to: string;
  /** As in CopyTask. */
  readonly upper?: string | undefined;
  readonly hasher: SelectionHasher;
  readonly pool: CopyPool | undefined;
  /** As in TreeCopy. */
  readonly mountedOnly?: boolean | undefined;
}

/** Copies what is at a path of a tree, with owners, modes and times as they are in the tree. */
export async function copyWhole(
  { tree, path, to, upper, hasher, pool, mountedOnly }: WholeCopy,
  signal: AbortSignal,
): Promise<void> {
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
  const selected = await hasher.read(tree, selectionOf(copy), signal);
  const overrides = { owner: undefined, mode: undefined, time: undefined };
  await performCopy({ copy, tree, selected, to, upper, overrides, pool, mountedOnly }, signal);
}
