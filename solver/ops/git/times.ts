import { closeSync } from 'node:fs';
import { type Timespec, tryOpenat, utimensat } from '../../../snapshotter/sys/calls.ts';
import { O } from '../../../snapshotter/sys/constants.ts';
import { listDirectory, openRoot } from '../../../snapshotter/sys/rooted.ts';

/** The time at which a commit was made. `commit` is the text of the object. */
export function commitTime(commit: Buffer): Timespec {
  const seconds = /^committer .*? (-?\d+) [+-]\d+$/m.exec(commit.toString('latin1'))?.[1];
  return { sec: Math.max(0, Number(seconds ?? 0)), nsec: 0 };
}

/**
 * Sets the time of `root` and everything below it. Git stores no times, and those of the checkout
 * would give each checkout of the same commit another layer.
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
