import { lstatSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';

/**
 * The target of a link at `path` that leads nowhere. Undefined for anything else. Call it when a
 * file was not found: the user wanted a file there, and ignoring the broken link could lose what it
 * should have said. Links are followed, so use it only for the user's own paths.
 */
export function brokenLink(path: string): string | undefined {
  if (!statOf(lstatSync, path)?.isSymbolicLink()) return undefined;
  return statOf(statSync, path) ? undefined : readlinkSync(path);
}

function statOf(stat: typeof statSync | typeof lstatSync, path: string): Stats | undefined {
  try {
    return stat(path, { throwIfNoEntry: false });
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
