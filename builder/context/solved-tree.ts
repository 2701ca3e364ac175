import { closeSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { SolvedTree, TreeEntry } from '../../frontend/gateway.ts';
import type { Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';
import { O, S } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';
import { isA, readInRoot } from './tree-file.ts';

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
    readPart(path, offset, length) {
      const found = root.stat(path);
      if (!found || !isA(found.mode, S.IFREG)) return undefined;
      const fd = root.open(path, O.RDONLY);
      try {
        const buffer = Buffer.alloc(Math.max(0, Math.min(length, found.size - offset)));
        let filled = 0;
        while (filled < buffer.length) {
          const read = readSync(fd, buffer, filled, buffer.length - filled, offset + filled);
          if (read === 0) break;
          filled += read;
        }
        return buffer.subarray(0, filled);
      } finally {
        closeSync(fd);
      }
    },
    stat: (path) => entryAt(root, path, true),
    list(path) {
      const found = root.stat(path);
      if (!found || !isA(found.mode, S.IFDIR)) return undefined;
      return root.readdir(path).flatMap((name) => {
        const entry = entryAt(root, join(path, name), false);
        return entry ? [entry] : [];
      });
    },
    async [Symbol.asyncDispose]() {
      root[Symbol.dispose]();
      await close();
    },
  };
}

const SECOND = 1_000_000_000n;

function entryAt(root: Root, path: string, follow: boolean): TreeEntry | undefined {
  const stat = root.stat(path, { follow });
  if (!stat) return undefined;
  const { mode, uid, gid, size, mtime } = stat;
  return {
    name: basename(path) || '/',
    mode,
    uid,
    gid,
    size,
    modTime: BigInt(mtime.sec) * SECOND + BigInt(mtime.nsec),
    linkname: isA(mode, S.IFLNK) ? root.readlink(path) : '',
  };
}
