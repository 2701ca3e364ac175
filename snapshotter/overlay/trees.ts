import { errnoOf, KilnError } from '../../base/errors.ts';
import type { MarkForm } from '../layer/marks.ts';
import type { Writer } from '../snapshotter.ts';
import { storeError } from '../store/store-errors.ts';
import { unmount } from '../sys/mount.ts';
import { enterPrivateMounts } from '../sys/namespace.ts';
import { mountOverlay } from '../sys/overlay.ts';
import type { Folds } from './folds.ts';

/**
 * # How a stack of layers becomes a tree
 *
 * All else of a snapshotter (names, records, unpacking, views that are shared) is the same whatever
 * makes the trees:
 *
 *     overlay   a mount by the kernel, at once and without a copy, wherever the kernel allows it
 *               (`OverlayTrees`)
 *     copy      a directory of copies, compared after the step with what it was before:
 *               everywhere else (../copying/trees.ts)
 *
 * Both make the same layers of the same steps, byte for byte; ../copying/choose.ts decides which.
 */
export interface Trees {
  readonly kind: TreeKind;
  /** How layers that are written say what they hide. */
  readonly marks: MarkForm;
  /** The tree of `lower` (directories of layers, bottom first) with room for changes. */
  open(place: ActivePlace, lower: readonly string[], writer: Writer): Promise<OpenTree>;
  /**
   * The tree of `lower` to be read, at the empty directory `root`. The directory is left empty by
   * disposal or goes with it. `empty`: an empty directory.
   */
  view(root: string, lower: readonly string[], empty: string): Promise<Disposable>;
}

export type TreeKind = 'overlay' | 'copy';

/** Directories of a layer in the making. */
export interface ActivePlace {
  readonly directory: string;
  /** Empty; where the tree is to be. */
  readonly root: string;
  /** Empty; becomes the layer. */
  readonly files: string;
  /** Empty; for the tree's own use. */
  readonly work: string;
}

export interface OpenTree {
  /** Where what is new may be written past the tree, into directories that are new themselves. */
  readonly direct: string;
  /** As in ActiveSnapshot. */
  readonly isPlain: boolean;
  /**
   * Has all changes in `files`, and takes the tree away; `root` and `work` stay, for the caller to
   * remove.
   */
  gather(): Promise<void>;
  /** Takes the tree away; may be called again, and after `gather`. */
  close(): void;
}

export class OverlayTrees implements Trees {
  readonly kind = 'overlay';
  readonly marks = 'overlay';
  readonly #folds: Folds;

  constructor(folds: Folds) {
    this.#folds = folds;
  }

  async open({ directory, root, files, work }: ActivePlace, lower: readonly string[]): Promise<OpenTree> {
    enterPrivateMounts();
    const folded = await this.#fold(directory, lower);
    // Volatile: unmounting would otherwise write all of the store's file system back to disk.
    mounted(directory, () => mountOverlay({ lower: folded, upper: files, work, target: root, volatile: true }));
    let isMounted = true;
    const close = () => {
      if (isMounted) unmount(root);
      isMounted = false;
    };
    return { direct: files, isPlain: lower.length === 0, gather: async () => close(), close };
  }

  async view(root: string, lower: readonly string[], empty: string): Promise<Disposable> {
    enterPrivateMounts();
    const folded = await this.#fold(root, lower);
    mounted(root, () => mountOverlay({ lower: folded, target: root, empty }));
    return { [Symbol.dispose]: () => unmount(root) };
  }

  async #fold(path: string, lower: readonly string[]): Promise<readonly string[]> {
    try {
      return await this.#folds.fold(lower);
    } catch (error) {
      throw storeError(error, path);
    }
  }
}

/**
 * What the kernel says where it gives no overlay: for this file system, to this process, or at all.
 */
const REFUSALS = new Set(['EINVAL', 'ENODEV', 'ENOSYS', 'EOPNOTSUPP', 'EPERM', 'EACCES', 'EBUSY']);

/**
 * Such a refusal was not foreseen: the store or the process is elsewhere than when the store was
 * first opened.
 */
function mounted(path: string, mount: () => void): void {
  try {
    mount();
  } catch (error) {
    if (!REFUSALS.has(errnoOf(error) ?? '')) throw storeError(error, path);
    throw new KilnError(
      'KILN_STORE_FILE_SYSTEM',
      `the layers of this store are made for overlay mounts, and the kernel gives none here (${errnoOf(error)})`,
      {
        place: { kind: 'path', path },
        hint: "use another store with KILN_ROOT: a new one finds out what works here; 'kiln doctor' says what that is",
        cause: error,
      },
    );
  }
}
