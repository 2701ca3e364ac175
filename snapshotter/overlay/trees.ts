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
 * The rest of a snapshotter (names, records, unpacking, shared views) does not depend on how trees
 * are made:
 *
 *     overlay   a mount by the kernel, at once and without a copy, wherever the kernel allows it
 *               (`OverlayTrees`)
 *     copy      a directory of copies, compared after the step with what it was before:
 *               everywhere else (../copying/trees.ts)
 *
 * Both make the same layers from the same steps, byte for byte. ../copying/choose.ts chooses one of
 * them.
 */
export interface Trees {
  readonly kind: TreeKind;
  /** The form in which new layers say what they hide. */
  readonly marks: MarkForm;
  /** Opens the writable tree of `lower` (directories of layers, bottom first). */
  open(place: ActivePlace, lower: readonly string[], writer: Writer): Promise<OpenTree>;
  /**
   * Makes the read-only tree of `lower` at the empty directory `root`. Disposal empties or removes
   * that directory. `empty` is another empty directory.
   */
  view(root: string, lower: readonly string[], empty: string): Promise<Disposable>;
}

export type TreeKind = 'overlay' | 'copy';

/** The directories of a layer that is being made. */
export interface ActivePlace {
  readonly directory: string;
  /** Empty at first; the tree appears here. */
  readonly root: string;
  /** Empty at first; it becomes the layer. */
  readonly files: string;
  /** Empty at first; for the tree's own use. */
  readonly work: string;
}

export interface OpenTree {
  /**
   * Where new files may be written without going through the tree, into directories that are new
   * themselves.
   */
  readonly direct: string;
  /** As in ActiveSnapshot. */
  readonly isPlain: boolean;
  /**
   * Moves all changes to `files` and removes the tree. `root` and `work` remain for the caller to
   * remove.
   */
  gather(): Promise<void>;
  /** Removes the tree. It may be called again, and after `gather`. */
  close(): void;
}

export class OverlayTrees implements Trees {
  readonly kind = 'overlay';
  readonly marks = 'overlay';
  readonly #folds: Folds;

  constructor(folds: Folds) {
    this.#folds = folds;
  }

  async open(
    { directory, root, files, work }: ActivePlace,
    lower: readonly string[],
  ): Promise<OpenTree> {
    enterPrivateMounts();
    const folded = await this.#fold(directory, lower);
    // Volatile: otherwise unmounting would write the store's whole file system back to disk.
    mounted(directory, () =>
      mountOverlay({ lower: folded, upper: files, work, target: root, volatile: true }),
    );
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
 * The kernel's errors where overlay is not available for this file system, to this process, or at
 * all.
 */
const OVERLAY_ERRNOS = new Set([
  'EINVAL',
  'ENODEV',
  'ENOSYS',
  'EOPNOTSUPP',
  'EPERM',
  'EACCES',
  'EBUSY',
]);

/**
 * Reports an unexpected refusal: the store or the process has moved since the store was first
 * opened.
 */
function mounted(path: string, mount: () => void): void {
  try {
    mount();
  } catch (error) {
    if (!OVERLAY_ERRNOS.has(errnoOf(error) ?? '')) throw storeError(error, path);
    throw new KilnError(
      'KILN_STORE_FILE_SYSTEM',
      'the layers of this store are made for overlay mounts, and the kernel allows none ' +
        `here (${errnoOf(error)})`,
      {
        place: { kind: 'path', path },
        hint:
          "use another store with KILN_ROOT: a new one finds out what works here; 'kiln " +
          "doctor' says what that is",
        cause: error,
      },
    );
  }
}
