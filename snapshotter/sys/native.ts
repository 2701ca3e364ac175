import { constants } from 'node:os';
import { inFlight } from './gate.ts';
import { type Koffi, loadKoffi } from './koffi.ts';

/**
 * The bridge to libc. koffi is loaded at the first call of a bound function, never at import, so
 * that commands which touch no tree do not pay for it. Every thread that uses a binding loads its
 * own.
 */

/**
 * The values that koffi can pass: numbers, pointers (buffers), C strings (text, or NUL-terminated
 * bytes).
 */
export type Arg = number | bigint | string | Buffer | Uint8Array | null;

interface Bound {
  (...args: Arg[]): number | bigint;
  async(...args: [...Arg[], (error: Error | null, result: number | bigint) => void]): void;
}

interface Library {
  func(prototype: string): Bound;
}

let koffi: Koffi<Bound> | undefined;
let self: Library | undefined;

function load(): Koffi<Bound> {
  koffi ??= loadKoffi<Bound>();
  return koffi;
}

/**
 * A shared library by path or soname. Undefined when the system does not have it. null means what
 * this process has already loaded.
 */
export function openLibrary(name: string | null): Library | undefined {
  try {
    return load().load(name);
  } catch {
    return undefined;
  }
}

/** A failed system call. `code` is the errno name, `syscall` the call, `path` the file. */
export class SysError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(syscall: string, errno: number, path?: string) {
    const code = errnoName(errno);
    super(`${code}: ${syscall} failed${path === undefined ? '' : `, '${path}'`}`);
    this.name = 'SysError';
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
    this.path = path;
  }
}

const names = new Map<number, string>();
export const ERRNO: Readonly<Record<string, number>> = constants.errno;

function errnoName(errno: number): string {
  if (names.size === 0) {
    for (const [name, value] of Object.entries(constants.errno))
      if (!names.has(value)) names.set(value, name);
    names.set(constants.errno.EAGAIN, 'EAGAIN');
    names.set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP');
  }
  return names.get(errno) ?? `E${errno}`;
}

let failed = 0;

/** The errno of the last bound call of this thread that failed. */
export function lastErrno(): number {
  return failed;
}

/** The most repetitions of a failed call. */
const REPEATS = 4;

/**
 * Makes a call, and finds the errno when it fails. Between libc's return and the reading of errno,
 * the JavaScript engine may run (a garbage collection, a finished compilation) and change errno.
 * That happened once in some 10,000 failing calls under load, as EAGAIN. A failed call has changed
 * nothing, so it is repeated until it gives the same errno twice.
 */
function settled(bound: Bound, args: Arg[]): number {
  const result = Number(bound(...args));
  if (result >= 0) return result;
  failed = load().errno();
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const again = Number(bound(...args));
    if (again >= 0) return again;
    const errno = load().errno();
    if (errno === failed) return again;
    failed = errno;
  }
  return result;
}

/**
 * Binds a libc function by its C prototype. The symbol is looked up at the first call. The raw
 * result is a number.
 */
export function bind(prototype: string): (...args: Arg[]) => number {
  let bound: Bound | undefined;
  return (...args) => {
    bound ??= symbol(prototype);
    return settled(bound, args);
  };
}

/**
 * Like `bind`, but runs on a thread of the libuv pool. Rejects with a SysError when the result is
 * negative.
 */
export function bindAsync(name: string, prototype: string): (...args: Arg[]) => Promise<number> {
  let bound: Bound | undefined;
  return (...args) => {
    bound ??= symbol(prototype);
    return inFlight((done) => {
      bound!.async(...args, (error, result) => {
        // koffi restores the errno of the pool thread before it calls back (checked by a test).
        done(
          error ?? (Number(result) < 0 ? new SysError(name, load().errno()) : null),
          Number(result),
        );
      });
    });
  };
}

function symbol(prototype: string): Bound {
  // null means the symbols of this process, so libc needs no name here (glibc and musl name theirs
  // differently).
  self ??= load().load(null);
  return self.func(prototype);
}

/** Returns `result`, or throws the errno as a SysError when it is negative. */
export function check(result: number, syscall: string, path?: string): number {
  if (result < 0) throw new SysError(syscall, lastErrno(), path);
  return result;
}
