import { closeSync } from 'node:fs';
import { type Timespec, tryOpenat, utimensat } from '../../../snapshotter/sys/calls.ts';
import { O } from '../../../snapshotter/sys/constants.ts';
import { listDirectory, openRoot } from '../../../snapshotter/sys/rooted.ts';

/** When `commit` (the text of the object) was committed, in seconds since 1970. */
export function commitTime(commit: Buffer): Timespec {
  const seconds = /^committer .*? (-?\d+) [+-]\d+$/m.exec(commit.toString('latin1'))?.[1];
  return { sec: Math.max(0, Number(seconds ?? 0)), nsec: 0 };
}

/**
 * Gives all below `root`, and it, one time. Git keeps none, and that of the checkout would make
 * every checkout of the same commit another layer.
 */
export function setTimes(root: string, time: Timespec): void {
  using top = openRoot(root);
  stamp(top.fd, time);
  utimensat(top.fd, '.', time, time);
}

function stamp(directory: number, time: Timespec): void {
  for (const name of listDirectory(directory)) {
    const inner = tryOpenat(directory, name, O.PATH | O.DIRECTORY | O.NOFOLLOW);
    if (inner >= 0) {
      try {
        stamp(inner, time);
      } finally {
        closeSync(inner);
      }
    }
    utimensat(directory, name, time, time);
  }
}
