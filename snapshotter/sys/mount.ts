import { closeSync } from 'node:fs';
import { AT, MNT_DETACH, SYS, UMOUNT_NOFOLLOW } from './constants.ts';
import { cName } from './name-bytes.ts';
import { bind, check } from './native.ts';

/** Mount calls. All of them act on the mount namespace of the calling thread (see namespace.ts). */

const c = {
  mount: bind('int mount(const char *, const char *, const char *, uint64_t, const char *)'),
  umount2: bind('int umount2(const char *, int)'),
  fsopen: bind('int64_t syscall(int64_t, const char *, int64_t)'),
  fsconfig: bind('int64_t syscall(int64_t, int64_t, int64_t, const char *, const char *, int64_t)'),
  fsmount: bind('int64_t syscall(int64_t, int64_t, int64_t, int64_t)'),
  moveMount: bind(
    'int64_t syscall(int64_t, int64_t, const char *, int64_t, const char *, int64_t)',
  ),
  openTree: bind('int64_t syscall(int64_t, int64_t, const char *, int64_t)'),
  setattr: bind('int64_t syscall(int64_t, int64_t, const char *, int64_t, const void *, int64_t)'),
  unshare: bind('int unshare(int)'),
  setns: bind('int setns(int, int)'),
};

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const SET_FLAG = 0;
const SET_STRING = 1;
const CMD_CREATE = 6;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const FROM_EMPTY_PATH = 4;
const TO_EMPTY_PATH = 0x40;

/** mount(2). `data` must stay below one page (4096 bytes). */
export function mount(
  source: string | null,
  target: string,
  type: string | null,
  flags: number,
  data: string | null = null,
): void {
  const text = (value: string | null) => (value === null ? null : cName(value));
  check(c.mount(text(source), cName(target), text(type), flags, text(data)), 'mount', target);
}

/**
 * Unmounts at once, even while the mount is in use. Processes with open files there keep them.
 * Follows no symlink.
 */
export function unmount(target: string, flags: number = MNT_DETACH): void {
  check(c.umount2(cName(target), flags | UMOUNT_NOFOLLOW), 'umount2', target);
}

/** An open mount that is not attached anywhere yet. Disposing it before that removes it. */
export interface DetachedMount extends Disposable {
  readonly fd: number;
  /**
   * Attaches it at a trusted path, or at the file that the descriptor `at` is open on (O_PATH). The
   * second way is for mounting inside a hostile tree.
   */
  attach(at: string | number): void;
}

function detached(fd: number): DetachedMount {
  let open = true;
  return {
    fd,
    attach(at) {
      if (typeof at === 'string')
        check(
          c.moveMount(SYS.move_mount, fd, '', AT.FDCWD, cName(at), FROM_EMPTY_PATH),
          'move_mount',
          at,
        );
      else
        check(
          c.moveMount(SYS.move_mount, fd, '', at, '', FROM_EMPTY_PATH | TO_EMPTY_PATH),
          'move_mount',
        );
    },
    [Symbol.dispose]() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/**
 * One file system option: a flag, or a key with a value of at most 255 bytes (the kernel's limit).
 */
export type FsOption = string | readonly [key: string, value: string];

/**
 * fsopen + fsconfig + fsmount: makes a new instance of file system `type`, not attached yet.
 * `attributes` are MOUNT_ATTR bits.
 */
export function createMount(
  type: string,
  options: readonly FsOption[],
  attributes = 0,
): DetachedMount {
  const fs = check(c.fsopen(SYS.fsopen, type, FSOPEN_CLOEXEC), 'fsopen', type);
  try {
    for (const option of options) {
      if (typeof option === 'string')
        check(c.fsconfig(SYS.fsconfig, fs, SET_FLAG, option, null, 0), 'fsconfig', option);
      else
        check(
          c.fsconfig(SYS.fsconfig, fs, SET_STRING, option[0], cName(option[1]), 0),
          'fsconfig',
          option.join('='),
        );
    }
    check(c.fsconfig(SYS.fsconfig, fs, CMD_CREATE, null, null, 0), 'fsconfig', type);
    return detached(
      check(c.fsmount(SYS.fsmount, fs, FSMOUNT_CLOEXEC, attributes), 'fsmount', type),
    );
  } finally {
    closeSync(fs);
  }
}

/**
 * Copies the mount at `source` (a trusted path, or the file that an O_PATH descriptor is open on)
 * as a detached mount. It is a bind mount whose source cannot be exchanged any more.
 */
export function cloneMount(
  source: string | number,
  options: { readonly recursive?: boolean } = {},
): DetachedMount {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options.recursive ? AT.RECURSIVE : 0);
  const fd =
    typeof source === 'string'
      ? c.openTree(SYS.open_tree, AT.FDCWD, cName(source), flags)
      : c.openTree(SYS.open_tree, source, '', flags | AT.EMPTY_PATH);
  return detached(check(fd, 'open_tree', typeof source === 'string' ? source : undefined));
}

export interface MountChange {
  /** MOUNT_ATTR bits to set and to clear. */
  readonly set?: number;
  readonly clear?: number;
  /** MS.PRIVATE, MS.SLAVE or MS.SHARED. */
  readonly propagation?: number;
  readonly recursive?: boolean;
}

/** mount_setattr(2) on a trusted path, or on the mount that a descriptor is open on. */
export function changeMount(target: string | number, change: MountChange): void {
  const attr = Buffer.alloc(32);
  attr.writeBigUInt64LE(BigInt(change.set ?? 0), 0);
  attr.writeBigUInt64LE(BigInt(change.clear ?? 0), 8);
  attr.writeBigUInt64LE(BigInt(change.propagation ?? 0), 16);
  const flags = change.recursive ? AT.RECURSIVE : 0;
  const [dir, path, more] =
    typeof target === 'string' ? [AT.FDCWD, cName(target), 0] : [target, '', AT.EMPTY_PATH];
  check(
    c.setattr(SYS.mount_setattr, dir, path, flags | more, attr, 32),
    'mount_setattr',
    String(target),
  );
}

/** unshare(2): moves the calling thread alone. */
export function unshare(flags: number): void {
  check(c.unshare(flags), 'unshare');
}

/** setns(2): moves the calling thread alone. */
export function setns(fd: number, flags: number): void {
  check(c.setns(fd, flags), 'setns');
}
