import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, writing } from '../../base/oserror.ts';

/**
 * How long logs are kept. A log is removed that is beyond both of the first two limits, and one
 * with which the newer ones take more than `bytes`.
 */
export interface LogLimits {
  /** The newest logs that are kept in any case. */
  readonly entries: number;
  /** Logs that are younger are kept in any case. Milliseconds. */
  readonly ageMs: number;
  /** What all logs may take together. It is looked after when the cache is collected. */
  readonly bytes: number;
}

export const USUAL_LIMITS: LogLimits = { entries: 100, ageMs: 0, bytes: 2 ** 30 };

/** The file of a store that has limits of its own. It is beside the logs. */
export const LIMITS_FILE = 'limits.json';

/**
 * Sets the limits of the store whose logs are in `directory`, as the configuration at `from` says;
 * undefined means that it says nothing. They apply to every process that uses the store. Throws
 * KILN_FILE_UNWRITABLE.
 */
export function setLogLimits(directory: string, limits: LogLimits | undefined, from: string): void {
  const path = join(directory, LIMITS_FILE);
  const old = readLimits(path);
  if (!limits && old['from'] !== from) return;
  const text = JSON.stringify({ ...limits, from });
  if (limits && JSON.stringify(old) === text) return;
  attempt(writing('the limits of the logs', path), () => {
    if (limits) writeFileSync(path, text, { mode: 0o600 });
    else rmSync(path, { force: true });
  });
}

/** The limits of a store that has some of its own. */
export function logLimits(directory: string): LogLimits {
  const { entries, ageMs, bytes = USUAL_LIMITS.bytes } = readLimits(join(directory, LIMITS_FILE));
  return isCount(entries) && isCount(ageMs) && isCount(bytes)
    ? { entries, ageMs, bytes }
    : USUAL_LIMITS;
}

function readLimits(path: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // There is none, a server has removed the file, or is writing it.
    return {};
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
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

/**
 * The logs that are beyond `bytes`, the oldest first. `ids` are all that may be removed, the oldest
 * first. The newest one is kept however large it is.
 */
export function logsTooLarge(
  { bytes }: LogLimits,
  ids: readonly string[],
  sizeOf: (id: string) => number,
): readonly string[] {
  let sum = 0;
  const kept = ids.findLastIndex((id) => (sum += sizeOf(id)) > bytes);
  return ids.slice(0, Math.min(kept + 1, ids.length - 1));
}
