import { closeSync, constants as FS, fstatSync, openSync, readFileSync, readSync } from 'node:fs';

/**
 * Reads a regular file that is read as a whole, such as a configuration or a certificate. An open
 * FIFO would be waited for, and a device may have no end, so both are refused without reading them.
 * The null device is an empty file. Throws errors of the system, with two of its own: EFTYPE for
 * what is not a regular file, and EFBIG for more than `max` bytes.
 */
export function readRegularFile(path: string, max = 16 << 20): Buffer {
  const fd = openSync(path, FS.O_RDONLY | FS.O_NONBLOCK | FS.O_NOCTTY);
  try {
    const stat = fstatSync(fd);
    if (stat.isCharacterDevice() && stat.rdev === NULL_DEVICE) return Buffer.alloc(0);
    // Reading a directory fails with EISDIR, which says what it is.
    if (!stat.isFile() && !stat.isDirectory()) throw failure('EFTYPE', path);
    if (stat.isFile() && stat.size > max) throw failure('EFBIG', path);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads a file that a user names, which may also be a pipe such as `<(command)`. Waits for a writer
 * and for its end. Throws errors of the system, and EFBIG of its own for more than `max` bytes.
 */
export function readNamedFile(path: string, max = 16 << 20): Buffer {
  const fd = openSync(path, FS.O_RDONLY | FS.O_NOCTTY);
  try {
    const pieces: Buffer[] = [];
    for (let total = 0; ; ) {
      const piece = Buffer.allocUnsafe(Math.min(PIECE, max + 1 - total));
      const count = readSync(fd, piece);
      if (count === 0) return Buffer.concat(pieces);
      total += count;
      if (total > max) throw failure('EFBIG', path);
      pieces.push(piece.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
}

const PIECE = 64 << 10;

/** The device number of /dev/null: major 1, minor 3. */
const NULL_DEVICE = 0x103;

function failure(code: 'EFTYPE' | 'EFBIG', path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path });
}
