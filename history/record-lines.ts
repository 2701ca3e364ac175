import { readSync } from 'node:fs';

const CHUNK = 1 << 20;
/** A line of a record that is longer is damaged: nothing that is written has so many bytes. */
const LONGEST = 64 << 20;

/** Told of each whole line, without its end. Returning false ends the reading behind it. */
export type OnLine = (line: Buffer, offset: number) => boolean | undefined;

/**
 * Reads the whole lines of a file from an offset on, in pieces. Returns the offset behind the last
 * one that was told; a line whose end is not written yet stays for the next time.
 */
export function readLines(fd: number, from: number, onLine: OnLine): number {
  let buffer = Buffer.allocUnsafe(CHUNK);
  /** The bytes in `buffer` that belong to a line that has not ended. */
  let held = 0;
  let offset = from;
  for (;;) {
    if (held === buffer.length) {
      if (held >= LONGEST) {
        offset += held;
        held = 0;
      } else buffer = Buffer.concat([buffer, Buffer.allocUnsafe(buffer.length)]);
    }
    const length = readSync(fd, buffer, held, buffer.length - held, offset + held);
    if (length === 0) return offset;
    const filled = held + length;
    let start = 0;
    for (;;) {
      const found = buffer.subarray(0, filled).indexOf(10, Math.max(start, held));
      if (found < 0) break;
      const isLast =
        found > start && onLine(buffer.subarray(start, found), offset + start) === false;
      start = found + 1;
      held = 0;
      if (isLast) return offset + start;
    }
    buffer.copy(buffer, 0, start, filled);
    held = filled - start;
    offset += start;
  }
}
