import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

type Document = Readonly<Record<string, unknown>>;

/** The last line of a record is shorter. Bytes. */
const LONGEST_END = 4 << 20;

/** The last line of a log, when it says how the build ended. */
export function lastLine(directory: string, id: string): Document | undefined {
  try {
    const fd = openSync(join(directory, `${id}.jsonl`), 'r');
    try {
      const { size } = fstatSync(fd);
      for (let length = 8192; ; length *= 8) {
        const from = Math.max(0, size - length);
        const bytes = Buffer.alloc(size - from);
        readSync(fd, bytes, 0, bytes.length, from);
        const text = bytes.toString().trimEnd();
        const start = text.lastIndexOf('\n');
        if (start < 0 && from > 0 && length < LONGEST_END) continue;
        const line = text.slice(start + 1);
        return line.startsWith('{"ended":') ? (JSON.parse(line) as Document) : undefined;
      }
    } finally {
      closeSync(fd);
    }
  } catch {
    // It is damaged, or another process has removed it.
    return undefined;
  }
}
