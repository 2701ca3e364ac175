import { cleanPath } from '../../base/gopath.ts';
import { ignoreFilter } from '../ignore.ts';
import type { Step } from './step.ts';

/**
 * Warns of a source that `.dockerignore` keeps out of the context. Nothing is said when the file has exceptions (`!`): whether
 * something below an excluded directory is let in again cannot be told without looking.
 */
export function warnIgnored({ conversion, command }: Step, isAdd: boolean, source: string): void {
  const { ignore } = conversion.request.mainContext;
  if (ignore.length === 0 || ignore.some((pattern) => pattern.startsWith('!'))) return;
  const path = cleanPath(source);
  const isRoot = path === '.' || path === '/';
  if (isRoot && !ignore.some((pattern) => ['*', '**', '**/*'].includes(pattern))) return;
  if (!isRoot && ignoreFilter(ignore).includes(path, false)) return;
  const message = `Attempting to ${isAdd ? 'Add' : 'Copy'} file "${source}" that is excluded by .dockerignore`;
  conversion.warn('CopyIgnoredFile', message, command.instruction.range);
}
