import { closeSync, readSync } from 'node:fs';
import type { Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';
import { O } from '../../snapshotter/sys/constants.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { FetchedTree } from './context.ts';
import { readInRoot } from './tree-file.ts';

/** A look into a snapshot. Its files are a stranger's: every path is resolved inside it. */
export async function openFetched(snapshotter: Snapshotter, snapshot: Snapshot): Promise<FetchedTree> {
  const view = await snapshotter.view(snapshot);
  const root = openRoot(view.root);
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
      await view[Symbol.asyncDispose]();
    },
  };
}
