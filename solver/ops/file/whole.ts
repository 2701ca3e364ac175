import type { SelectionHasher } from '../../../cache/contenthash/hasher.ts';
import type { Tree } from '../../../cache/contenthash.ts';
import { COPY_TREE, type FileActionCopy } from '../../llb/file-op.ts';
import type { CopyPool } from './inparts.ts';
import { performCopy, selectionOf } from './perform.ts';

/** A copy of a file or directory without changes. */
export interface WholeCopy {
  readonly tree: Tree;
  /** The path to copy. The copy has the same path below `to`. */
  readonly path: string;
  readonly to: string;
  /** See CopyTask. */
  readonly upper?: string | undefined;
  readonly hasher: SelectionHasher;
  readonly pool: CopyPool | undefined;
  /** See TreeCopy. */
  readonly mountedOnly?: boolean | undefined;
}

/** Copies a file or directory of a tree. Owners, modes and times are kept. */
export async function copyWhole(
  { tree, path, to, upper, hasher, pool, mountedOnly }: WholeCopy,
  signal: AbortSignal,
): Promise<void> {
  const copy: FileActionCopy = { ...COPY_TREE, src: path, dest: path, createDestPath: true };
  const selected = await hasher.read(tree, selectionOf(copy), signal);
  const overrides = { owner: undefined, mode: undefined, time: undefined };
  await performCopy({ copy, tree, selected, to, upper, overrides, pool, mountedOnly }, signal);
}
