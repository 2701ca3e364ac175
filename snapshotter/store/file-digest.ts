import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { asDigest, type Digest } from '../../base/digest.ts';

const PIECE = 1 << 20;

/**
 * The digest of a file, read piece by piece on this thread. For the rare check of a blob that seems
 * damaged.
 */
export function digestOfFile(path: string): Digest {
  const hash = createHash('sha256');
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(PIECE);
    for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
      hash.update(buffer.subarray(0, count));
  } finally {
    closeSync(fd);
  }
  return asDigest(`sha256:${hash.digest('hex')}`);
}
