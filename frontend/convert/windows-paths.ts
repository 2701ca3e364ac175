import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';

/**
 * A path of an image for `platform` as the build graph has it, with slashes and without a drive.
 * Paths of Windows may have backslashes and the drive `C:`, the only one that an image has. Throws
 * KILN_PLATFORM_UNSUPPORTED for another drive, and for a path of a share.
 */
export function graphPath(path: string, platform: Pick<Platform, 'os'> | undefined): string {
  if (platform?.os !== 'windows') return path;
  const slashed = path.replaceAll('\\', '/');
  if (slashed.startsWith('//')) throw notInImage(path, 'names a share of the network');
  const [, drive, rest = ''] = /^([a-z]):(.*)$/is.exec(slashed) ?? [];
  if (drive === undefined) return slashed;
  if (drive.toLowerCase() !== 'c') throw notInImage(path, 'is not on the drive C:');
  if (rest === '') throw notInImage(path, 'has a drive and no path');
  return rest;
}

/** The working directory as the config of an image for `platform` has it. */
export function configDirectory(path: string, platform: Pick<Platform, 'os'> | undefined): string {
  return platform?.os === 'windows' ? path.replaceAll('/', '\\') : path;
}

function notInImage(path: string, why: string): KilnError {
  return new KilnError('KILN_PLATFORM_UNSUPPORTED', `the path ${JSON.stringify(path)} ${why}`, {
    hint: 'an image for Windows has one drive; write a path such as C:\\app or /app',
  });
}
