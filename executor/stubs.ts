import { closeSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import {
  fchmodat,
  fstat,
  mkdirat,
  openat,
  type Stat,
  tryUnlinkat,
  UTIME_OMIT,
  utimensat,
} from '../snapshotter/sys/calls.ts';
import { AT, O, S } from '../snapshotter/sys/constants.ts';
import { openDirectoryAt, type Root, statAt } from '../snapshotter/sys/rooted.ts';
import { fdPath } from '../snapshotter/sys/xattr.ts';

/**
 * # Missing mount points
 *
 * A mount needs a file or directory to stand on. Where the tree has nothing at a target, a stub is
 * made there. The module remembers what it made and in which directory, and removes it when the
 * process has ended, unless it was used. It works by descriptors of directories that were opened
 * before the process ran. So whatever the process renames or replaces by links, nothing outside the
 * tree is removed (CVE-2024-23652). The modification times of the parent directories are restored.
 *
 *     using stubs = makeStubs(root, [{ path: '/run/secrets/token', kind: 'file' }]);
 *     ... mount, run, wait ...
 *     stubs.remove();
 */
export interface Stubs extends Disposable {
  /** The number of files and directories that were made. */
  readonly made: number;
  /**
   * Removes the stubs, last made first. A stub that is not empty any more, or was replaced,
   * remains.
   */
  remove(): void;
}

export interface StubTarget {
  /**
   * A path in the tree. Links in it are followed inside the tree, also to names that do not exist
   * yet.
   */
  readonly path: string;
  readonly kind: 'file' | 'directory';
}

interface Stub {
  /** O_PATH descriptor of the parent directory. */
  readonly parent: number;
  readonly name: string;
  readonly identity: string;
  readonly kind: StubTarget['kind'];
}

/**
 * Makes what is missing. On failure it removes what it made and throws: KILN_MOUNT_TARGET when a
 * file is in the way.
 */
export function makeStubs(root: Root, targets: readonly StubTarget[]): Stubs {
  const made: Stub[] = [];
  const close = () => {
    for (const stub of made.splice(0)) closeSync(stub.parent);
  };
  const remove = () => {
    try {
      for (const stub of made.toReversed()) removeStub(stub);
    } finally {
      close();
    }
  };
  try {
    for (const target of targets) makeOne(root, target, made);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    get made() {
      return made.length;
    },
    remove,
    [Symbol.dispose]: close,
  };
}

function makeOne(root: Root, target: StubTarget, made: Stub[]): void {
  const parts = root.resolve(target.path).split('/').filter(Boolean);
  let dir = root.open('', O.PATH | O.DIRECTORY);
  try {
    for (const [at, name] of parts.entries()) {
      const last = at === parts.length - 1;
      if (!statAt(dir, name))
        dir = keepParent(dir, addStub(dir, name, last ? target.kind : 'directory'), made);
      if (last) return;
      const next = openDirectoryAt(dir, name);
      if (next === undefined) throw inTheWay(target.path, parts.slice(0, at + 1).join('/'));
      closeSync(dir);
      dir = next;
    }
  } finally {
    closeSync(dir);
  }
}

/** The stub keeps `dir`. The walk continues with a descriptor of its own. */
function keepParent(dir: number, stub: Stub, made: Stub[]): number {
  made.push(stub);
  return openat(AT.FDCWD, fdPath(dir), O.PATH | O.DIRECTORY);
}

function addStub(parent: number, name: string, kind: StubTarget['kind']): Stub {
  const { mtime } = fstat(parent);
  if (kind === 'directory') mkdirat(parent, name, 0o755);
  else closeSync(openat(parent, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o755));
  // Set explicitly, whatever the umask of this process is.
  fchmodat(parent, name, 0o755);
  restoreTime(parent, mtime);
  return { parent, name, kind, identity: identityOf(statAt(parent, name)) };
}

function removeStub({ parent, name, kind, identity }: Stub): void {
  const now = statAt(parent, name);
  if (!now || identityOf(now) !== identity || (kind === 'file' && now.size !== 0)) return;
  const { mtime } = fstat(parent);
  // A directory that is not empty fails with ENOTEMPTY here, and remains.
  if (tryUnlinkat(parent, name, kind === 'directory' ? AT.REMOVEDIR : 0) === 0)
    restoreTime(parent, mtime);
}

function identityOf(stat: Stat | undefined): string {
  return stat ? `${stat.devMajor}:${stat.devMinor}:${stat.ino}:${stat.mode & S.IFMT}` : '';
}

function restoreTime(dir: number, mtime: Stat['mtime']): void {
  utimensat(AT.FDCWD, fdPath(dir), { sec: 0, nsec: UTIME_OMIT }, mtime, 0);
}

function inTheWay(target: string, path: string): KilnError {
  return new KilnError(
    'KILN_MOUNT_TARGET',
    `cannot mount at ${target}: /${path} in the image is not a directory`,
    {
      hint: 'Choose another target for the mount.',
    },
  );
}
