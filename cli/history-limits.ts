import { type LogLimits, setLogLimits, USUAL_LIMITS } from '../builder/history/log-limits.ts';
import { parseDuration } from '../cache/gc/filter.ts';
import { textIfThere } from '../registry/textfile.ts';
import { parseBytes } from './arguments.ts';
import { isTable, readToml, type TomlTable } from './kiln-toml.ts';

/**
 * How long builds stay in the history, as the table `[history]` of kiln.toml says:
 *
 *     [history]
 *       maxEntries = 50
 *       maxAge = "48h"
 *       maxSize = "500MB"
 *
 * Of count and age, one that the table does not set is none, as in BuildKit: a build stays for the
 * other one. Undefined without the table. Throws Error for a value that is none.
 */
export function historyLimits(file: TomlTable): LogLimits | undefined {
  const history = file['history'];
  if (history === undefined) return undefined;
  if (!isTable(history)) throw new Error('history is not a table');
  const { maxAge, maxEntries, maxSize } = history;
  const entries =
    maxEntries ?? (maxAge === undefined && maxSize !== undefined ? USUAL_LIMITS.entries : 0);
  if (typeof entries !== 'number' || !Number.isInteger(entries) || entries < 0)
    throw new Error('history.maxEntries is not a number of builds');
  return {
    entries,
    ageMs: maxAge === undefined ? 0 : parseDuration(String(maxAge), 'history.maxAge'),
    bytes: maxSize === undefined ? USUAL_LIMITS.bytes : sizeOf(maxSize),
  };
}

function sizeOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  if (typeof value === 'string') return parseBytes(value, 'history.maxSize');
  throw new Error('history.maxSize is not a size');
}

/**
 * Gives the store whose logs are in `directory` the limits of the file at `path`. Those of another
 * file, such as a server's, stay when this one has none. Throws KILN_SERVER_CONFIG_INVALID.
 */
export async function applyHistoryLimits(directory: string, path: string): Promise<void> {
  const text = textIfThere('the configuration', path) ?? '';
  const limits = await readToml(text, path, INVALID, historyLimits);
  setLogLimits(directory, limits, path);
}

const INVALID = {
  code: 'KILN_SERVER_CONFIG_INVALID',
  hint: 'write maxEntries, maxAge and maxSize below [history]',
} as const;
