import type { Digest } from '../base/digest.ts';
import type { Meta } from './select/entry.ts';
import type { KnownLooks } from './select/known-looks.ts';
import type { SelectedSource } from './select/selected-source.ts';

/**
 * # Content digests of trees
 *
 * The digest of the files that an op will read, whatever made them. For each selected path it
 * covers the type, mode, uid, gid, link target, device number, the xattrs `security.capability` and
 * `user.*`, and the bytes of files. It covers neither the modification time nor the tree's location
 * on disk. Paths are relative to the selection, so a rename inside it changes the digest.
 *
 * The digests of file bytes are remembered by (device, inode, size, mtime ns, ctime ns), so that an
 * unchanged tree costs one lstat for each file. A file that changed just before it was read is not
 * remembered, because its time stamp is racy (contenthash/racy.ts).
 */
export interface ContentHasher {
  /**
   * The digest of the part of `tree` that `selection` selects. Every path is resolved inside the
   * tree's root.
   */
  digest(tree: Tree, selection: Selection, signal?: AbortSignal): Promise<Digest>;
  /** Writes the new digests of files to disk. Called once, after the build. */
  save(): void;
}

/** A directory on this host that holds a tree: a mounted snapshot or a context. */
export interface Tree {
  readonly root: string;
  /**
   * A stable name under which file digests are remembered between builds. Absent for trees that are
   * never seen again.
   */
  readonly memory?: string;
  /**
   * For a tree with a `memory` that only Kiln writes to: another text whenever anything in the tree
   * has changed. Digests are remembered by it, and the tree is not walked for them.
   */
  readonly version?: string;
  /** For a tree with a `version`: what was found there before, and has not changed since. */
  readonly looks?: KnownLooks;
  /** Hides paths from the build (`.dockerignore`). Paths are relative and `/`-separated. */
  readonly filter?: TreeFilter;
  /** True for a local directory: all files count as owned by 0:0, whoever owns them on the host. */
  readonly rootOwned?: boolean;
  /** True for a copy of a directory that has only the files that the build named. */
  readonly isPartial?: boolean;
  /**
   * Called with the files of each selection that is read. Answers whether it is to be called for
   * the same files again, in the next build.
   */
  readonly onRead?: (sources: readonly SelectedSource[]) => boolean;
  /**
   * Called before many bytes are hashed, with their number. What it returns is told how many are
   * done.
   */
  readonly onHashing?: (total: number) => (current: number) => void;
  /**
   * Called with each path of the host's tree that is looked up, '' for its top, and what lstat has
   * found there. What a build finds in the tree depends on nothing else.
   */
  readonly onLook?: LookListener | undefined;
}

/** Gets a path below `root`, and the lstat data of what is there: undefined when nothing is. */
export type LookListener = (root: string, path: string, found: Meta | undefined) => void;

export interface TreeFilter {
  /** The identity of the filter. It is used only to remember digests. */
  readonly id: string;
  /**
   * False when the path is excluded. A walk may still have to enter an excluded directory: see
   * `prune`.
   */
  includes(path: string, isDirectory: boolean): boolean;
  /** True when nothing below the excluded directory can be included again. */
  prune(path: string): boolean;
  /**
   * The reason why a path is excluded, such as `line 3 of .dockerignore`, for the error of a COPY
   * that names it.
   */
  explain?(path: string): string | undefined;
}

/**
 * The files that an op like COPY reads: sources as written (with wildcards when `wildcard` is set),
 * and patterns inside them.
 */
export interface Selection {
  readonly paths: readonly string[];
  readonly wildcard: boolean;
  /** True for sources that could not have wildcards. It decides what is said of a missing one. */
  readonly exact?: boolean;
  /** Follow a symlink that is the last component of a source path, inside the root. */
  readonly followLinks: boolean;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** Whether a wildcard may match nothing. Otherwise that is an error. */
  readonly allowEmpty?: boolean;
  /** Patterns inside the sources that must match something. */
  readonly required?: readonly string[];
}
