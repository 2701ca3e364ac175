import type { Digest } from '../base/digest.ts';

/**
 * # Content digests of trees
 *
 * The digest of what an op will read, whatever made it: for each selected path its type, mode, uid, gid, link target, device
 * number, the xattrs `security.capability` and `user.*`, and the bytes of files. Not the modification time, and not where the tree
 * is on disk. Paths are relative to the selection, so that a rename inside it counts.
 *
 * The digests of file bytes are remembered by (device, inode, size, mtime ns, ctime ns), so that an unchanged tree costs one
 * lstat each. A file changed just before it was read is not remembered (a racy time stamp: contenthash/racy.ts).
 */
export interface ContentHasher {
  /** The digest of what `selection` picks from `tree`, with every path resolved inside the tree's root. */
  digest(tree: Tree, selection: Selection, signal?: AbortSignal): Promise<Digest>;
  /** Writes what was learned about files back to disk. Called once, after the build. */
  save(): void;
}

/** A directory on this host that holds a tree: a mounted snapshot or a context. */
export interface Tree {
  readonly root: string;
  /** A stable name for remembering file digests between builds; absent for trees that are never seen again. */
  readonly memory?: string;
  /** Paths that are not there as far as the build is concerned (`.dockerignore`); relative, `/`-separated. */
  readonly filter?: TreeFilter;
  /** Everything counts as owned by 0:0, whoever owns it on the host: a local directory. */
  readonly rootOwned?: boolean;
}

export interface TreeFilter {
  /** Identity of the filter, part of nothing but memory. */
  readonly id: string;
  /** False when the path is excluded. A directory that is excluded may still be descended into: see `prune`. */
  includes(path: string, isDirectory: boolean): boolean;
  /** True when nothing below the excluded directory can be included again. */
  prune(path: string): boolean;
  /** Why an excluded path is excluded, such as `line 3 of .dockerignore`, for the error of a COPY that names it. */
  explain?(path: string): string | undefined;
}

/** What a COPY-like action reads: sources as written (wildcards allowed when `wildcard`), and patterns inside them. */
export interface Selection {
  readonly paths: readonly string[];
  readonly wildcard: boolean;
  /** Follow a final symlink of a source path, inside the root. */
  readonly followLinks: boolean;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** A wildcard that matches nothing selects nothing; without this it is an error. */
  readonly allowEmpty?: boolean;
  /** Patterns inside the sources that have to match something. */
  readonly required?: readonly string[];
}
