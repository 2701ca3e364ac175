import { closeSync } from 'node:fs';
import { type Stat, utimensat } from '../snapshotter/sys/calls.ts';
import { S } from '../snapshotter/sys/constants.ts';
import type { Root } from '../snapshotter/sys/rooted.ts';
import { DEEPEST, tooDeep } from '../snapshotter/sys/treepaths.ts';

/**
 * Removes what is in a directory and not among the paths to `keep`, so that the directory mirrors
 * what was written (`type=local,mode=delete`). A kept path keeps the directories above it. Links
 * are removed and never followed. Directories keep the times that they have.
 */
export function removeOthers(top: Root, keep: ReadonlySet<string>): void {
  const pending = [''];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const before = top.stat(at, { follow: false });
    let hasRemoved = false;
    for (const name of top.readdir(at)) {
      const path = at === '' ? name : `${at}/${name}`;
      if (!keep.has(path)) hasRemoved = top.remove(path) || hasRemoved;
      else if (isDirectory(top.stat(path, { follow: false }))) pending.push(path);
    }
    if (pending.length > 0 && at.split('/').length > DEEPEST) throw tooDeep(at);
    if (hasRemoved && before && at !== '') restoreTime(top, at, before);
  }
}

function isDirectory(stat: Stat | undefined): boolean {
  return stat !== undefined && (stat.mode & S.IFMT) === S.IFDIR;
}

function restoreTime(top: Root, path: string, { mtime }: Stat): void {
  const { dir, name } = top.parent(path);
  try {
    utimensat(dir, name, mtime, mtime);
  } finally {
    closeSync(dir);
  }
}
