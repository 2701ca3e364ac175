import { fstatSync, writeSync } from 'node:fs';
import { errnoOf } from './errors.ts';
import { pause } from './pause.ts';

/** Memory devices (`/dev/null`, `/dev/full`), by their major number in Linux's devices.txt. */
const MEMORY_DEVICES = 1;

/** False when a descriptor is no terminal for certain. Asks without a stream of Node. */
export function mayBeTerminal(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isCharacterDevice() && stat.rdev >> 8 !== MEMORY_DEVICES;
  } catch {
    // The program that started Kiln closed the descriptor.
    return false;
  }
}

/**
 * Writes all of `bytes` to a descriptor. Throws errors of the system, after which nothing more is
 * written.
 */
export function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let rest = bytes; rest.length > 0; )
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      // Another program that shares the pipe has made it non-blocking, and the pipe is full.
      if (errnoOf(error) !== 'EAGAIN') throw error;
      pause(1);
    }
}
