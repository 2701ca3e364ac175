import { hasWildcard } from '../../base/gomatch.ts';
import { cleanPath } from '../../base/gopath.ts';
import { type IgnoreFilter, ignoreFilter } from '../ignore.ts';
import type { Step } from './step.ts';

/**
 * Warns of a source that `.dockerignore` keeps out of the context. The last pattern that matches
 * decides. Nothing is said when an exception (`!`) may let something below the source in again:
 * whether there is such a file cannot be told without looking.
 */
export function warnIgnored({ conversion, command }: Step, isAdd: boolean, source: string): void {
  const { ignore } = conversion.request.mainContext;
  if (ignore.length === 0) return;
  const known = knownOf(ignore);
  known.work += ignore.length;
  if (known.work > MOST_WORK) return;
  const path = cleanPath(source).replace(/^\/+/, '');
  if (path === '' || path === '.' ? !known.all : mayBeThere(known, path)) return;
  const message = `Attempting to ${isAdd ? 'Add' : 'Copy'} file "${source}" that is excluded by .dockerignore`;
  conversion.warn('CopyIgnoredFile', message, command.instruction.range);
}

/**
 * Patterns that are held against a source, all together. Beyond that nothing is said: no file comes
 * near it whose author reads warnings.
 */
const MOST_WORK = 2_000_000;

interface Known {
  readonly ignore: readonly string[];
  readonly filter: IgnoreFilter;
  readonly all: boolean;
  readonly exceptions: boolean;
  work: number;
}

let lastKnown: Known | undefined;

/** Each COPY asks for the same. */
function knownOf(ignore: readonly string[]): Known {
  if (lastKnown?.ignore === ignore) return lastKnown;
  const exceptions = ignore.some((pattern) => pattern.startsWith('!'));
  const all = !exceptions && ignore.some((pattern) => ['*', '**', '**/*'].includes(pattern));
  lastKnown = { ignore, filter: ignoreFilter(ignore), all, exceptions, work: 0 };
  return lastKnown;
}

function mayBeThere({ filter, exceptions }: Known, path: string): boolean {
  if (filter.includes(path, false)) return true;
  return hasWildcard(path) ? exceptions : !filter.prune(path);
}
