import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  statfsSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../../base/errors.ts';
import { isOpaque, isWhiteout } from '../layer/marks.ts';
import { mknodat, openat, tryStat } from '../sys/calls.ts';
import { capabilitySet } from '../sys/capabilities.ts';
import { AT, O, S } from '../sys/constants.ts';
import { unmount } from '../sys/mount.ts';
import { mountOverlay } from '../sys/overlay.ts';
import { mappedIds } from '../sys/usernamespace.ts';

/** Magic numbers of statfs(2), for file systems on which stores are found. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0x794c7630, 'overlayfs'],
  [0x01021994, 'tmpfs'],
  [0x4d44, 'vfat'],
  [0x2011bab0, 'exfat'],
  [0x6969, 'nfs'],
  [0x65735546, 'fuse'],
  [0x01021997, '9p'],
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x2fc12fc1, 'zfs'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb3'],
  [0x5346544e, 'ntfs'],
  [0x7366746e, 'ntfs3'],
  [0xf15f, 'ecryptfs'],
  [0x61756673, 'aufs'],
]);

export function fileSystemName(path: string): string {
  const { type } = statfsSync(path);
  return NAMES.get(type) ?? `a file system of type 0x${type.toString(16)}`;
}

/**
 * Why overlay does not work with its upper directory in the empty directory `directory`. Undefined
 * when it works. This process must be allowed to mount.
 */
export function overlayObstacle(directory: string): string | undefined {
  const at = (name: string) => join(directory, name);
  for (const name of ['lower', 'upper', 'work', 'tree', 'lower/d']) mkdirSync(at(name));
  writeFileSync(at('lower/f'), '');
  writeFileSync(at('lower/d/f'), '');
  try {
    mountOverlay({
      lower: [at('lower')],
      upper: at('upper'),
      work: at('work'),
      target: at('tree'),
      volatile: true,
    });
  } catch (error) {
    return `overlay cannot be mounted (${errnoOf(error) ?? messageOf(error)})`;
  }
  try {
    unlinkSync(at('tree/f'));
    // Without d_type overlay does not recognise its whiteouts when it lists a directory.
    if (readdirSync(at('tree')).includes('f')) return 'overlay does not work (no d_type)';
    unlinkSync(at('tree/d/f'));
    rmdirSync(at('tree/d'));
    mkdirSync(at('tree/d'));
  } catch (error) {
    return `overlay does not work (${errnoOf(error) ?? messageOf(error)})`;
  } finally {
    unmount(at('tree'));
  }
  const whiteout = tryStat(AT.FDCWD, at('upper/f'));
  if (typeof whiteout === 'number' || !isWhiteout(whiteout)) return 'overlay leaves no whiteouts';
  const fd = openat(AT.FDCWD, at('upper/d'), O.RDONLY | O.DIRECTORY);
  try {
    return isOpaque(fd) ? undefined : 'the file system has no extended attributes for overlay';
  } finally {
    closeSync(fd);
  }
}

const MODE = 0o4751;
export const OWNERS = 'the owners of files';

/** CAP_CHOWN is capability number 0. Only with it can a failure be blamed on the file system. */
export function mayChown(): boolean {
  return (capabilitySet('CapEff') & 1n) === 1n;
}

/** What images need from a file system, each with a test for it. */
const REQUIRED_FEATURES: ReadonlyMap<string, (directory: string) => boolean> = new Map([
  ['symbolic links', holdsLinks],
  ['names that differ in case only', holdsCase],
  ['names of 255 bytes', holdsLongNames],
  ['names that are not UTF-8', holdsAnyName],
  [OWNERS, holdsOwners],
  ['the modes of files', holdsModes],
  ['special files', holdsSockets],
]);

/**
 * What the file system of the empty directory `directory` cannot hold of an image, as the end of a
 * sentence. Undefined when it can hold everything.
 */
export function unholdable(directory: string): string | undefined {
  for (const [what, holds] of REQUIRED_FEATURES) if (!succeeds(() => holds(directory))) return what;
  return undefined;
}

function holdsLinks(directory: string): boolean {
  symlinkSync('target', join(directory, 'link'));
  return lstatSync(join(directory, 'link')).isSymbolicLink();
}

function holdsCase(directory: string): boolean {
  writeFileSync(join(directory, 'case'), '');
  return !existsSync(join(directory, 'CASE'));
}

function holdsLongNames(directory: string): boolean {
  writeFileSync(join(directory, 'n'.repeat(255)), '');
  return true;
}

function holdsAnyName(directory: string): boolean {
  const name = Buffer.from([0x6e, 0xff]);
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), name]), '');
  return readdirSync(directory, 'buffer').some((found) => found.equals(name));
}

/** Where only one id exists, all files belong to it. */
function holdsOwners(directory: string): boolean {
  if (mappedIds() === 1) return true;
  const path = join(directory, 'owned');
  writeFileSync(path, '');
  chownSync(path, 1, 1);
  const { uid, gid } = lstatSync(path);
  return uid === 1 && gid === 1;
}

function holdsModes(directory: string): boolean {
  const path = join(directory, 'mode');
  writeFileSync(path, '');
  chmodSync(path, MODE);
  return (lstatSync(path).mode & 0o7777) === MODE;
}

function holdsSockets(directory: string): boolean {
  mknodat(AT.FDCWD, join(directory, 'socket'), S.IFSOCK);
  return lstatSync(join(directory, 'socket')).isSocket();
}

function succeeds(holds: () => boolean): boolean {
  try {
    return holds();
  } catch (error) {
    // A full disk or an error of the device is reported by the next operation.
    if (['ENOSPC', 'EDQUOT', 'EIO'].includes(errnoOf(error) ?? '')) return true;
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}
