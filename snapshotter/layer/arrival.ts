import { closeSync, openSync, readSync } from 'node:fs';
import { Readable } from 'node:stream';
import { GIVEN_UP } from '../content.ts';

/** How much of a blob has been written. */
export interface Arrival {
  /** The `written` of an ArrivingBlob. */
  readonly written: BigInt64Array;
  /** The bytes of the whole blob. */
  readonly size: number;
}

/** How often a caller that gives up is noticed while nothing comes, in milliseconds. */
const NOTICE_MS = 200;

/**
 * A stream of a file that is still being written, in pieces of at most `piece` bytes. `check`
 * throws when the caller has given up.
 */
export function readArriving(
  path: string,
  arrival: Arrival,
  piece: number,
  check: () => void,
): Readable {
  return Readable.from(pieces(path, arrival, piece, check), {
    objectMode: false,
    highWaterMark: piece,
  });
}

async function* pieces(
  path: string,
  { written, size }: Arrival,
  piece: number,
  check: () => void,
): AsyncGenerator<Buffer> {
  // The file is renamed when it is complete, and removed when it is given up.
  const fd = openSync(path, 'r');
  try {
    for (let at = 0; at < size; ) {
      const length = Math.min(piece, size - at);
      await grown(written, at + length, check);
      const buffer = Buffer.allocUnsafeSlow(length);
      if (readSync(fd, buffer, 0, length, at) < length)
        throw new Error('a blob that is being written became shorter');
      at += length;
      yield buffer;
    }
  } finally {
    closeSync(fd);
  }
}

/** Waits until there are `wanted` bytes. */
async function grown(written: BigInt64Array, wanted: number, check: () => void): Promise<void> {
  for (;;) {
    check();
    const now = Atomics.load(written, 0);
    if (now === GIVEN_UP) throw new Error('a blob that was being written was given up');
    if (now >= wanted) return;
    const change = Atomics.waitAsync(written, 0, now, NOTICE_MS);
    if (change.async) await change.value;
  }
}
