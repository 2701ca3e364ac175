import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The first look at the end of a file, in bytes. Each further one is eight times as long. */
const FIRST_LOOK = 8192;

/**
 * The last line of a file of lines, without reading all of it. A line of more than `longest` bytes
 * counts from where the last look begins. Undefined when the file cannot be read.
 */
export function lastLineIn(path: string, longest: number): string | undefined {
  try {
    const fd = openSync(path, 'r');
    try {
      const { size } = fstatSync(fd);
      for (let length = FIRST_LOOK; ; length *= 8) {
        const from = Math.max(0, size - length);
        const bytes = Buffer.alloc(size - from);
        readSync(fd, bytes, 0, bytes.length, from);
        const text = bytes.toString().trimEnd();
        const start = text.lastIndexOf('\n');
        if (start >= 0 || from === 0 || length >= longest) return text.slice(start + 1);
      }
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}
