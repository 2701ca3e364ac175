import { closeSync, constants as FS, fstatSync, openSync, readFileSync } from 'node:fs';

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

/** The device number of /dev/null: major 1, minor 3. */
const NULL_DEVICE = 0x103;

function failure(code: 'EFTYPE' | 'EFBIG', path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path });
}
