import { hasWildcard } from '../../base/gomatch.ts';
import { cleanPath } from '../../base/gopath.ts';
import { type IgnoreFilter, ignoreFilter } from '../ignore.ts';
import type { Step } from './step.ts';

/**
 * Warns of a source that `.dockerignore` excludes from the context. The last pattern that matches
 * decides. There is no warning when an exception (`!`) may include something below the source
 * again: whether such a file exists cannot be known without looking.
 */
export function warnIgnored({ conversion, command }: Step, isAdd: boolean, source: string): void {
  const { ignore } = conversion.request.mainContext;
  if (ignore.length === 0) return;
  const known = knownOf(ignore);
  known.work += ignore.length;
  if (known.work > MOST_WORK) return;
  const cleaned = cleanPath(source);
  const path = cleaned.replace(/^\/+/, '');
  if (path === '' || path === '.' ? !known.all : mayExist(known, path)) return;
  const message =
    `Attempting to ${isAdd ? 'Add' : 'Copy'} file "${cleaned}" that is ` +
    'excluded by .dockerignore';
  conversion.warn('CopyIgnoredFile', message, command.instruction.range);
}

/**
 * The most work for comparing patterns with sources. Beyond it there is no warning, because no
 * ordinary file comes near it.
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

/** Cached, because each COPY asks for the same. */
function knownOf(ignore: readonly string[]): Known {
  if (lastKnown?.ignore === ignore) return lastKnown;
  const exceptions = ignore.some((pattern) => pattern.startsWith('!'));
  const all = !exceptions && ignore.some((pattern) => ['*', '**', '**/*'].includes(pattern));
  lastKnown = { ignore, filter: ignoreFilter(ignore), all, exceptions, work: 0 };
  return lastKnown;
}

function mayExist({ filter, exceptions }: Known, path: string): boolean {
  if (filter.includes(path, false)) return true;
  return hasWildcard(path) ? exceptions : !filter.prune(path);
}
