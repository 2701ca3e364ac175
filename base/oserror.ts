import type { KilnErrorCode } from './codes.ts';
import { errnoOf, KilnError, type Place } from './errors.ts';

/**
 * # Errors of the operating system
 *
 * The caller that touches a path, a disk or a peer knows what it was doing; the operating system
 * knows why that failed. `osError` joins the two into one KilnError, for example `the context file
 * a/b cannot be read: permission denied`. The path is its place, and its hint is a next step that
 * fits the reason. An error that is not from the operating system is returned unchanged, so a bug
 * stays a bug.
 *
 * ```
 * const text = attempt(reading('the environment file', path), () => readFileSync(path, 'utf8'));
 * ```
 */
export interface Attempt {
  /** The code that the caller reports. */
  readonly code: KilnErrorCode;
  /** What could not be done: the beginning of a sentence that the reason completes. */
  readonly what: string;
  /**
   * The file or directory that the call was about. It is the place of the error, unless `place`
   * says another.
   */
  readonly path?: string | undefined;
  /** `later` when a caller further up knows a better place, such as a line of the Dockerfile. */
  readonly place?: Place | 'later' | undefined;
  /** What was being done to the path, because the advice differs. The default is `read`. */
  readonly doing?: 'read' | 'write';
  /**
   * As a string: advice for errors that have no advice of their own. As a map by errno: advice that
   * replaces the usual one.
   */
  readonly hint?: string | Readonly<Record<string, string>>;
  readonly exitCode?: number;
}

/**
 * Reading a file or directory that the user named. `what` says what it is, such as `the environment
 * file`.
 */
export function reading(what: string, path: string): Attempt {
  return { code: 'KILN_FILE_UNREADABLE', what: `${what} ${path} cannot be read`, path };
}

/** Writing a file or directory that the user named. */
export function writing(what: string, path: string): Attempt {
  return {
    code: 'KILN_FILE_UNWRITABLE',
    what: `${what} ${path} cannot be written`,
    path,
    doing: 'write',
  };
}

/**
 * Converts a system error to the KilnError that says what failed, where and why. Any other error is
 * returned unchanged.
 */
export function osError(error: unknown, about: Attempt): unknown {
  if (!isOsError(error)) return error;
  const { code, what, path, place, exitCode, hint } = about;
  const [always, byErrno] = typeof hint === 'string' ? [hint, undefined] : [undefined, hint];
  return new KilnError(code, `${what}: ${reasonOf(error)}`, {
    place:
      place === 'later'
        ? undefined
        : (place ?? (path === undefined ? undefined : { kind: 'path', path })),
    hint:
      byErrno?.[error.code] ??
      nextStep(error.code, about) ??
      always ??
      (error.code === 'ENOENT' ? missing(about) : undefined),
    ...(exitCode === undefined ? {} : { exitCode }),
    cause: error,
  });
}

/** Runs `body`. A system error that it throws is converted by `osError`. */
export function attempt<T>(about: Attempt, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw osError(error, about);
  }
}

/** System errors that only a mistake in Kiln can cause. */
const BUG_CODES = new Set(['EBADF', 'EFAULT', 'ENOTSOCK']);

/**
 * The last line of defence: a system error that no caller has converted is not a bug either. `what`
 * says what was being done, when that is known. Anything else is returned unchanged.
 */
export function unhandledOsError(error: unknown, what?: string): unknown {
  if (!isOsError(error) || BUG_CODES.has(error.code)) return error;
  const { path, syscall } = error as { path?: unknown; syscall?: unknown };
  const place = typeof path === 'string' && path !== '' ? path : undefined;
  if (syscall === 'uv_cwd')
    return osError(error, {
      code: 'KILN_SYSTEM',
      what: 'the current directory cannot be found',
      hint:
        'it was removed, or you may not read it: change to another directory, or give ' +
        'absolute paths',
    });
  const call = [syscall, place].filter((word) => typeof word === 'string').join(' ');
  return osError(error, {
    code: 'KILN_SYSTEM',
    what: [what, call].filter(Boolean).join(': ') || 'the system refused a call',
    path: place,
    hint: 'check whether another process changed it, then run the command again',
  });
}

/**
 * True for an error of the operating system. Node's own errors (`ERR_…`), SQLite's errors and
 * Kiln's errors are not system errors.
 */
export function isOsError(error: unknown): error is Error & { readonly code: string } {
  return !(error instanceof KilnError) && /^E[A-Z0-9]+$/.test(errnoOf(error) ?? '');
}

/** The reason of a system error in words, or the name of the error when there is no description. */
export function reasonOf(error: unknown): string {
  const code = errnoOf(error) ?? 'unknown error';
  return REASONS[code] ?? code;
}

const REASONS: Readonly<Record<string, string>> = {
  E2BIG: 'argument list too long',
  EACCES: 'permission denied',
  EADDRINUSE: 'the address is in use',
  EBUSY: 'it is in use',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by the other side',
  EDQUOT: 'disk quota exceeded',
  EEXIST: 'it already exists',
  EFBIG: 'file too large',
  EFTYPE: 'it is not a regular file',
  EHOSTUNREACH: 'no route to the host',
  EINVAL: 'invalid argument',
  EIO: 'input/output error',
  EISDIR: 'it is a directory',
  ELOOP: 'it is a symbolic link that leads to itself, or too many links follow each other',
  EMFILE: 'too many open files',
  EMLINK: 'too many links',
  ENAMETOOLONG: 'the name is too long',
  ENETUNREACH: 'the network is unreachable',
  ENFILE: 'too many open files on this machine',
  ENODEV: 'no such device',
  ENOENT: 'no such file or directory',
  ENOMEM: 'out of memory',
  ENOSPC: 'no space left on the device',
  ENOSYS: 'the kernel does not know this call',
  ENOTCONN: 'the file system behind it is gone',
  ENOTDIR: 'a part of the path is not a directory',
  ENOTEMPTY: 'the directory is not empty',
  ENOTSUP: 'the file system does not support it',
  ENXIO: 'no such device, or no process has the other end open',
  EOPNOTSUPP: 'the file system does not support it',
  EPERM: 'operation not permitted',
  EPIPE: 'the reader has gone',
  EROFS: 'read-only file system',
  ESTALE: 'the network file system has lost it (stale file handle)',
  ETIMEDOUT: 'timed out',
  ETXTBSY: 'it is a program that is running',
  EXDEV: 'it is on another file system',
};

function missing({ doing }: Attempt): string {
  return doing === 'write'
    ? 'make the directory first, or choose another path'
    : 'check the spelling of the path';
}

function nextStep(code: string, { path, doing = 'read' }: Attempt): string | undefined {
  const it = path ?? 'it';
  const write = doing === 'write';
  const elsewhere = write ? ', or choose a place on another disk' : '';
  switch (code) {
    case 'EACCES':
      return write
        ? 'choose a place that this user may write, or give the right with chmod ' +
            `or chown: ls -ld ${it}`
        : `let this user read ${it} (chmod a+r; directories above need a+x), or ` +
            'run as a user who may';
    case 'EPERM':
      return (
        'the file system or its flags (lsattr) forbid it, or a user with more rights is ' +
        `needed: ls -ld ${it}`
      );
    case 'EISDIR':
      return write
        ? 'name a file, not a directory'
        : `a file is needed there: name another, or remove or rename the directory ${it}`;
    case 'EFTYPE':
      return `name a regular file: ${it} is a pipe, a socket or a device`;
    case 'EEXIST':
      return `something else is at ${it}: move it out of the way`;
    case 'ENOTDIR':
      return 'name a path in which every part but the last is a directory';
    case 'ELOOP':
      return `find the circle of links with namei -l ${it}, and remove or correct a link of it`;
    case 'ENAMETOOLONG':
      return 'use a shorter name: a file name may have 255 bytes, a path 4095';
    case 'ENOSPC':
      return `make room (df -h ${it}; df -i for inodes)${elsewhere}`;
    case 'EDQUOT':
      return `make room within the quota (quota -s)${elsewhere}`;
    case 'EROFS':
      return 'choose a place that can be written, or mount that file system read-write';
    case 'EMFILE':
      return 'allow more open files: ulimit -n 65536';
    case 'ENFILE':
      return 'allow more open files on this machine: sysctl fs.file-max';
    case 'EFBIG':
      return write
        ? 'the file system or ulimit -f limits the size of a file: raise the limit ' +
            'or choose another disk'
        : undefined;
    case 'EIO':
      return 'the disk or its file system fails: look at dmesg, and check both first';
    case 'ESTALE':
    case 'ENOTCONN':
      return 'mount that file system again, then run the command again';
    case 'ETXTBSY':
    case 'EBUSY':
      return `end the processes that use ${it} (fuser -v ${it}), then run the command again`;
    case 'ENOMEM':
      return 'free some memory, or raise the limit of the control group';
    default:
      return undefined;
  }
}
