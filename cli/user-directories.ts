import { accessSync, constants, existsSync, lstatSync, mkdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { outerUser } from '../snapshotter/sys/usernamespace.ts';

/**
 * # The user who runs Kiln, and the user's directories
 *
 * A container may run with a user id that is not in /etc/passwd. HOME may be unset or may not be
 * writable: `docker run --user 1000` sets HOME=/.
 */

/** Returns the name in /etc/passwd of the current user, or undefined when there is none. */
export function userName(): string | undefined {
  return entry()?.username;
}

function entry(): { readonly username: string; readonly homedir: string } | undefined {
  try {
    return userInfo();
  } catch (error) {
    // There is no /etc/passwd, or it has no line with this user id.
    if (errnoOf(error) === 'ERR_SYSTEM_ERROR') return undefined;
    throw error;
  }
}

/**
 * Returns the home directory: HOME, else the one in /etc/passwd, else a path that does not exist.
 * The directory may be missing or not writable.
 */
export function homeDirectory(env: NodeJS.ProcessEnv): string {
  const home = env['HOME'] || entry()?.homedir;
  if (home && isAbsolute(home)) return home;
  return outerUser() === 0 ? '/root' : '/nonexistent';
}

/**
 * Returns the directory for the user's data (XDG_DATA_HOME of the XDG Base Directory
 * Specification). `substitute` is true when the home directory cannot be written: `path` is then a
 * directory in /var/tmp with the user's id in its name, which is made here. Throws
 * KILN_STORE_UNWRITABLE when that cannot be used either.
 */
export function dataDirectory(env: NodeJS.ProcessEnv): {
  readonly path: string;
  readonly substitute: boolean;
} {
  const usual = env['XDG_DATA_HOME'] || join(homeDirectory(env), '.local/share');
  if (env['XDG_DATA_HOME'] || isWritable(usual)) return { path: usual, substitute: false };
  return { path: ownTemporary(outerUser()), substitute: true };
}

/** Says whether files can be created in the directory `path`, or it can be created itself. */
export function isWritable(path: string): boolean {
  let at = path;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const TEMPORARY = '/var/tmp';

/**
 * Makes or finds the directory for user `uid`. Every user may create files in the directory above,
 * so one that another user owns or may read is refused.
 */
function ownTemporary(uid: number): string {
  const path = join(existsSync(TEMPORARY) ? TEMPORARY : '/tmp', `kiln-${uid}`);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw noPlace(path, error);
  }
  const stat = lstatSync(path);
  if (!stat.isDirectory() || stat.uid !== process.geteuid?.() || (stat.mode & 0o077) !== 0)
    throw noPlace(path);
  return path;
}

function noPlace(path: string, cause?: unknown): KilnError {
  return new KilnError(
    'KILN_STORE_UNWRITABLE',
    `the home directory cannot be written, and ${path} cannot be used instead`,
    {
      place: { kind: 'path', path },
      hint: 'set KILN_ROOT to a directory for the store, or HOME to one that can be written',
      cause,
    },
  );
}
