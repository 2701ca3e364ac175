import { join } from 'node:path';
import type { MarkForm } from '../layer/marks.ts';
import type { LayerJobs } from '../overlay/jobs.ts';
import type { ActivePlace, OpenTree, Trees } from '../overlay/trees.ts';
import type { Writer } from '../snapshotter.ts';
import { storeError } from '../store/store-errors.ts';
import { MOUNT_ATTR } from '../sys/constants.ts';
import { changeMount, cloneMount, unmount } from '../sys/mount.ts';
import { mayMount } from '../sys/namespace.ts';

/**
 * Trees as plain directories, for where the kernel allows no overlay, like BuildKit's native
 * snapshotter and buildah's vfs. A tree that a step writes to is a copy, with shared blocks where
 * the file system can (btrfs, xfs): through a hard link the step would write into a layer. A tree
 * that is only read, or in which files are replaced and never changed, has hard links. The changes
 * of a step are found by the identities of files (identity.ts).
 */
export class CopyingTrees implements Trees {
  readonly kind = 'copy';
  readonly marks: MarkForm;
  readonly #jobs: LayerJobs;
  readonly #blind: boolean;

  /** `blind`: this process cannot read the opaque marks of other layers in the store. */
  constructor(jobs: LayerJobs, marks: MarkForm, blind: boolean) {
    this.#jobs = jobs;
    this.marks = marks;
    this.#blind = blind;
  }

  async open(
    { directory, root, files, work }: ActivePlace,
    lower: readonly string[],
    writer: Writer,
  ): Promise<OpenTree> {
    const record = join(work, 'record');
    const filesAre = writer === 'replacer' ? 'link' : 'copy';
    await withStoreErrors(
      directory,
      this.#jobs.assemble({ layers: lower, root, files: filesAre, record, blind: this.#blind }),
    );
    return {
      direct: root,
      isPlain: true,
      gather: () =>
        withStoreErrors(
          directory,
          this.#jobs.gather({ root, record, files, filesAre, marks: this.marks }),
        ),
      close: () => {},
    };
  }

  async view(root: string, lower: readonly string[]): Promise<Disposable> {
    await withStoreErrors(
      root,
      this.#jobs.assemble({ layers: lower, root, files: 'link', blind: this.#blind }),
    );
    // Where this process may not mount, no sandbox runs. So only Kiln itself reads the tree.
    if (!mayMount()) return { [Symbol.dispose]: () => {} };
    using tree = cloneMount(root);
    changeMount(tree.fd, { set: MOUNT_ATTR.RDONLY });
    tree.attach(root);
    return { [Symbol.dispose]: () => unmount(root) };
  }
}

async function withStoreErrors(path: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw storeError(error, path);
  }
}
