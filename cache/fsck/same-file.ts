import { lstatSync } from 'node:fs';

/**
 * Returns a check that says whether the file or directory at `path` is still the same as now. A
 * path where nothing exists counts as the same while nothing exists there. A caller that has opened
 * the file passes its inode number, so that a file that replaced it since then is noticed.
 */
export function sameFile(path: string, inode = inodeOf(path)): () => boolean {
  return () => inodeOf(path) === inode;
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}
