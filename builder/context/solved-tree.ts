import { closeSync, readSync } from 'node:fs';
import type { SolvedTree } from '../../frontend/gateway.ts';
import type { Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';
import { O } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';
import { readInRoot } from './tree-file.ts';

/**
 * Opens a snapshot for reading. Its files are untrusted, so every path is resolved inside it.
 * Disposing the tree closes the view.
 */
export async function openSnapshotTree(
  snapshotter: Snapshotter,
  snapshot: Snapshot,
): Promise<SolvedTree> {
  const view = await snapshotter.view(snapshot);
  return overRoot(openRoot(view.root), () => view[Symbol.asyncDispose]());
}

/** Opens a directory of the session for reading, with paths resolved inside it. */
export function openDirectoryTree(directory: string): SolvedTree {
  return overRoot(openRoot(directory), async () => {});
}

function overRoot(root: Root, close: () => PromiseLike<void>): SolvedTree {
  return {
    find: (path, max) => readInRoot(root, path, max),
    readStart(path, length) {
      const fd = root.open(path, O.RDONLY);
      try {
        const buffer = Buffer.alloc(length);
        return buffer.subarray(0, readSync(fd, buffer));
      } finally {
        closeSync(fd);
      }
    },
    async [Symbol.asyncDispose]() {
      root[Symbol.dispose]();
      await close();
    },
  };
}
