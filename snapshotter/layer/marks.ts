import { errnoOf, KilnError } from '../../base/errors.ts';
import { mknodat, type Stat, tryStat, tryUnlinkat } from '../sys/calls.ts';
import { S } from '../sys/constants.ts';
import { inUserNamespace } from '../sys/usernamespace.ts';
import { fdPath, getFdXattr, removeXattr, setXattr } from '../sys/xattr.ts';

/**
 * # How a layer directory marks what it hides
 *
 * A *whiteout* hides one name of the layers below. An *opaque* directory hides everything that they
 * have under its name. There are two forms:
 *
 *     overlay   a 0:0 character device, and the attribute that overlayfs itself reads
 *     socket    a socket without permissions at the hidden name, and one called `.kiln-opaque` in
 *               the directory, for a file system that cannot hold such a device or attribute. A tar
 *               cannot hold a socket, so an image cannot forge one.
 *
 * Both forms are always understood. A store writes one of them, which is decided when it is first
 * opened (../copying/choose.ts).
 */
export type MarkForm = 'overlay' | 'socket';

/** The file that marks a directory as opaque in the socket form. */
export const OPAQUE_NAME = '.kiln-opaque';

/**
 * The attribute of overlay on a directory that hides what lower layers have under its name. Only
 * the one that Kiln's mounts use counts (`userxattr`, see sys/overlay.ts): for root of the machine,
 * `user.overlay.opaque` is an attribute that any step may set.
 */
function attributeName(): string {
  return inUserNamespace() ? 'user.overlay.opaque' : 'trusted.overlay.opaque';
}

export function isWhiteout(stat: Stat): boolean {
  const type = stat.mode & S.IFMT;
  return (type === S.IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0) || isSocketMark(stat);
}

function isSocketMark({ mode }: Stat): boolean {
  return mode === S.IFSOCK;
}

/** Hides `name` of the layers below. */
export function makeWhiteout(dir: number, name: string, form: MarkForm): void {
  mknodat(dir, name, form === 'overlay' ? S.IFCHR : S.IFSOCK, 0n);
}

/** `names` are the entries of the directory, if they are already known. */
export function isOpaque(fd: number, names?: readonly string[]): boolean {
  if (getFdXattr(fd, attributeName())?.toString() === 'y') return true;
  return names?.includes(OPAQUE_NAME) !== false && isOpaqueMark(fd, OPAQUE_NAME);
}

/** True when the entry `name` is not a file of the tree but marks its directory as opaque. */
export function isOpaqueMark(dir: number, name: string): boolean {
  if (name !== OPAQUE_NAME) return false;
  const stat = tryStat(dir, name);
  return typeof stat !== 'number' && isSocketMark(stat);
}

export function makeOpaque(fd: number, form: MarkForm): void {
  if (form === 'socket') {
    if (!isOpaqueMark(fd, OPAQUE_NAME)) mknodat(fd, OPAQUE_NAME, S.IFSOCK, 0n);
    return;
  }
  try {
    setXattr(fdPath(fd), attributeName(), Buffer.from('y'), { follow: true });
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    throw marksNeedPrivilege(error);
  }
}

export function clearOpaque(fd: number): void {
  // The attribute is read first: a process that cannot see it may not remove it either, and has not
  // set it.
  if (getFdXattr(fd, attributeName())) removeXattr(fdPath(fd), attributeName(), { follow: true });
  if (isOpaqueMark(fd, OPAQUE_NAME)) tryUnlinkat(fd, OPAQUE_NAME);
}

/** Only CAP_SYS_ADMIN may read and write overlay's attributes. */
export function marksNeedPrivilege(cause?: unknown): KilnError {
  return new KilnError(
    'KILN_NO_PRIVILEGE',
    'the layers of this store mark removed files in a way that only ' +
      'CAP_SYS_ADMIN may read and write',
    {
      hint:
        'run Kiln with the privileges that the store was made with, or give it ' +
        'another store by KILN_ROOT',
      cause,
    },
  );
}
