import { closeSync } from 'node:fs';
import { openat } from '../sys/calls.ts';
import { AT, O, S } from '../sys/constants.ts';
import { listDirectory, statAt } from '../sys/rooted.ts';
import { isOpaque, isWhiteout } from './marks.ts';

/** True when anything in the layer directory `files` hides what layers below have. */
export function hidesAny(files: string): boolean {
  const open = [openat(AT.FDCWD, files, O.RDONLY | O.DIRECTORY)];
  try {
    for (let fd = open.pop(); fd !== undefined; fd = open.pop()) {
      const dir = fd;
      try {
        const names = listDirectory(dir);
        if (isOpaque(dir, names)) return true;
        for (const name of names) {
          const stat = statAt(dir, name);
          if (stat && isWhiteout(stat)) return true;
          if (stat && (stat.mode & S.IFMT) === S.IFDIR)
            open.push(openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW));
        }
      } finally {
        closeSync(dir);
      }
    }
    return false;
  } finally {
    for (const fd of open) closeSync(fd);
  }
}
