import { hasWildcard } from '../../base/gomatch.ts';
import { cleanPath } from '../../base/gopath.ts';
import { ignoreFilter } from '../ignore.ts';
import type { Step } from './step.ts';

/**
 * Warns of a source that `.dockerignore` keeps out of the context. The last pattern that matches decides. Nothing is said when an
 * exception (`!`) may let something below the source in again: whether there is such a file cannot be told without looking.
 */
export function warnIgnored({ conversion, command }: Step, isAdd: boolean, source: string): void {
  const { ignore } = conversion.request.mainContext;
  if (ignore.length === 0) return;
  const path = cleanPath(source).replace(/^\/+/, '');
  if (path === '' || path === '.' ? !allIgnored(ignore) : mayBeThere(ignore, path)) return;
  const message = `Attempting to ${isAdd ? 'Add' : 'Copy'} file "${source}" that is excluded by .dockerignore`;
  conversion.warn('CopyIgnoredFile', message, command.instruction.range);
}

function allIgnored(ignore: readonly string[]): boolean {
  return ignore.some((pattern) => ['*', '**', '**/*'].includes(pattern)) && !ignore.some((pattern) => pattern.startsWith('!'));
}

function mayBeThere(ignore: readonly string[], path: string): boolean {
  const filter = ignoreFilter(ignore);
  if (filter.includes(path, false)) return true;
  return hasWildcard(path) ? ignore.some((pattern) => pattern.startsWith('!')) : !filter.prune(path);
}
