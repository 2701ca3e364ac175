import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, writing } from '../../base/oserror.ts';

/** How long logs are kept. A log is removed that is beyond both limits. */
export interface LogLimits {
  /** The newest logs that are kept in any case. */
  readonly entries: number;
  /** Logs that are younger are kept in any case. Milliseconds. */
  readonly ageMs: number;
}

export const USUAL_LIMITS: LogLimits = { entries: 100, ageMs: 0 };

/** The file of a store that has limits of its own. It is beside the logs. */
export const LIMITS_FILE = 'limits.json';

/**
 * Sets the limits of the store whose logs are in `directory`; undefined means the usual ones. They
 * apply to every process that uses the store. Throws KILN_FILE_UNWRITABLE.
 */
export function setLogLimits(directory: string, limits: LogLimits | undefined): void {
  const path = join(directory, LIMITS_FILE);
  attempt(writing('the limits of the logs', path), () => {
    if (limits) writeFileSync(path, JSON.stringify(limits), { mode: 0o600 });
    else rmSync(path, { force: true });
  });
}

/** The limits of a store that has some of its own. */
export function logLimits(directory: string): LogLimits {
  try {
    const { entries, ageMs } = JSON.parse(readFileSync(join(directory, LIMITS_FILE), 'utf8'));
    if (Number.isInteger(entries) && entries >= 0 && Number.isFinite(ageMs) && ageMs >= 0)
      return { entries, ageMs };
  } catch {
    // A server has removed the file, or is writing it.
  }
  return USUAL_LIMITS;
}

/**
 * The logs that need not be kept when `more` are about to come. `ids` are those that may be
 * removed, the oldest first; `writtenAt` tells when one was written last, in milliseconds.
 */
export function logsBeyond(
  { entries, ageMs }: LogLimits,
  ids: readonly string[],
  writtenAt: (id: string) => number,
  more: number,
): readonly string[] {
  const beyond = ids.slice(0, Math.max(0, ids.length - entries + more));
  if (ageMs === 0) return beyond;
  const before = Date.now() - ageMs;
  return beyond.filter((id) => writtenAt(id) < before);
}
