import { closeSync, readSync } from 'node:fs';
import { openat, readlinkat, type Stat } from '../sys/calls.ts';
import { O } from '../sys/constants.ts';
import { getFdXattr } from '../sys/xattr.ts';

const TYPE = 0o170000;
const REGULAR = 0o100000;
const SYMLINK = 0o120000;
const CHUNK = 1 << 16;

interface Place {
  readonly dir: number;
  readonly stat: Stat;
}

/**
 * True when two files of one name, equal in metadata, also have equal capabilities, link targets
 * and bytes.
 */
export function sameContent(a: Place, b: Place, name: string): boolean {
  const type = a.stat.mode & TYPE;
  if (type === SYMLINK) return readlinkat(a.dir, name).equals(readlinkat(b.dir, name));
  if (type !== REGULAR) return true;
  const left = openat(a.dir, name, O.RDONLY | O.NOFOLLOW);
  const right = openat(b.dir, name, O.RDONLY | O.NOFOLLOW);
  try {
    return sameCapability(left, right) && sameBytes(left, right);
  } finally {
    closeSync(left);
    closeSync(right);
  }
}

export function sameCapability(left: number, right: number): boolean {
  const of = (fd: number) => getFdXattr(fd, 'security.capability');
  return Buffer.compare(of(left) ?? Buffer.alloc(0), of(right) ?? Buffer.alloc(0)) === 0;
}

function sameBytes(left: number, right: number): boolean {
  const a = Buffer.allocUnsafe(CHUNK);
  const b = Buffer.allocUnsafe(CHUNK);
  for (;;) {
    const count = readSync(left, a, 0, CHUNK, null);
    const other = readSync(right, b, 0, CHUNK, null);
    if (count !== other || a.compare(b, 0, other, 0, count) !== 0) return false;
    if (count === 0) return true;
  }
}
