import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { attachedDocuments, attachedPath } from './attached.ts';
import { isRunning, readHeader, removeLog, unpinned } from './build-log.ts';
import { lastLine } from './last-line.ts';
import { logLimits, logsTooLarge } from './log-limits.ts';

/**
 * Removes the oldest logs while all together, with what is kept with them, take more room than they
 * may. Those of builds that are going on stay. `removing` is told of each before.
 */
export function pruneLargeLogs(directory: string, removing?: (id: string) => void): void {
  const ids = unpinned(readdirSync(directory));
  for (const id of logsTooLarge(logLimits(directory), ids, (one) => bytesOf(directory, one))) {
    const isOn = isRunning(directory, id, readHeader(directory, id)) && !lastLine(directory, id);
    if (isOn) continue;
    removing?.(id);
    removeLog(directory, id);
  }
}

/** A document that several logs share counts in parts. */
function bytesOf(directory: string, id: string): number {
  const attached = attachedDocuments(directory, id).map(({ name }) =>
    attachedPath(directory, id, name),
  );
  return [join(directory, `${id}.jsonl`), ...attached].reduce((sum, path) => {
    const { size = 0, nlink = 1 } = statSync(path, { throwIfNoEntry: false }) ?? {};
    return sum + size / nlink;
  }, 0);
}
