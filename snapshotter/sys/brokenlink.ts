import { lstatSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';

/**
 * The target of a link at `path` that leads nowhere; undefined of anything else. To be asked when a
 * file is not there: somebody wanted it to be, and to go on as if nobody had can lose what it
 * should have said. For paths of the user's own only: links are followed.
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
