import { join } from 'node:path';
import { lastLineIn } from '../../base/last-line.ts';

type Document = Readonly<Record<string, unknown>>;

/** The last line of a record is shorter. Bytes. */
const LONGEST_END = 4 << 20;

/** The last line of a log, when it says how the build ended. */
export function lastLine(directory: string, id: string): Document | undefined {
  const line = lastLineIn(join(directory, `${id}.jsonl`), LONGEST_END);
  if (!line?.startsWith('{"ended":')) return undefined;
  try {
    return JSON.parse(line) as Document;
  } catch {
    // It is damaged.
    return undefined;
  }
}
