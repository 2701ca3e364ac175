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
 * Trees as plain directories, for where the kernel gives no overlay: as BuildKit's native
 * snapshotter and buildah's vfs do it. A tree that a step writes to is a copy, of shared blocks
 * where the file system can (btrfs, xfs): a hard link would let it write into a layer. A tree that
 * is only read, or in which files are replaced and never changed, has hard links. What a step
 * changed is found by the identities of files (identity.ts).
 */
export class CopyingTrees implements Trees {
  readonly kind = 'copy';
  readonly marks: MarkForm;
  readonly #jobs: LayerJobs;
  readonly #blind: boolean;

  /**
   * `blind`: this process cannot read what other layers of the store say about opaque directories.
   */
  constructor(jobs: LayerJobs, marks: MarkForm, blind: boolean) {
    this.#jobs = jobs;
    this.marks = marks;
    this.#blind = blind;
  }

  async open({ directory, root, files, work }: ActivePlace, lower: readonly string[], writer: Writer): Promise<OpenTree> {
    const record = join(work, 'record');
    const filesAre = writer === 'replacer' ? 'link' : 'copy';
    await told(directory, this.#jobs.assemble({ layers: lower, root, files: filesAre, record, blind: this.#blind }));
    return {
      direct: root,
      isPlain: true,
      gather: () => told(directory, this.#jobs.gather({ root, record, files, filesAre, marks: this.marks })),
      close: () => {},
    };
  }

  async view(root: string, lower: readonly string[]): Promise<Disposable> {
    await told(root, this.#jobs.assemble({ layers: lower, root, files: 'link', blind: this.#blind }));
    // Where no mount can be made no sandbox runs: the only one to read it is this program.
    if (!mayMount()) return { [Symbol.dispose]: () => {} };
    using tree = cloneMount(root);
    changeMount(tree.fd, { set: MOUNT_ATTR.RDONLY });
    tree.attach(root);
    return { [Symbol.dispose]: () => unmount(root) };
  }
}

async function told(path: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw storeError(error, path);
  }
}
