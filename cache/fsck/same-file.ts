import { lstatSync } from 'node:fs';

/**
 * Answers a function that says whether `path` is still the file, directory or gap that it is now.
 * `inode` is the number of the file that was opened there, when one was.
 */
export function sameFile(path: string, inode = inodeOf(path)): () => boolean {
  return () => inodeOf(path) === inode;
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}
