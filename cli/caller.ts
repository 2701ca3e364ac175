import { accessSync, constants, existsSync, lstatSync, mkdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { outerUser } from '../snapshotter/sys/usernamespace.ts';

/**
 * Who calls, and where his things are. Nothing is taken for granted: a container may run with an id
 * that no passwd file knows, without a HOME, or with one that cannot be written (`docker run --user
 * 1000` has HOME=/).
 */

/** The name in passwd, where the id has one. */
export function userName(): string | undefined {
  return entry()?.username;
}

function entry(): { readonly username: string; readonly homedir: string } | undefined {
  try {
    return userInfo();
  } catch (error) {
    // No passwd file, or no line with this id.
    if (errnoOf(error) === 'ERR_SYSTEM_ERROR') return undefined;
    throw error;
  }
}

/**
 * HOME, else what passwd says, else a directory that nobody has. It need not exist, and need not be
 * writable.
 */
export function homeDirectory(env: NodeJS.ProcessEnv): string {
  const home = env['HOME'] || entry()?.homedir;
  if (home && isAbsolute(home)) return home;
  return outerUser() === 0 ? '/root' : '/nonexistent';
}

/**
 * Where a user's data go; `substitute` when the home directory does not take them and a directory
 * named by the id is used.
 */
export function dataDirectory(env: NodeJS.ProcessEnv): {
  readonly path: string;
  readonly substitute: boolean;
} {
  const wanted = env['XDG_DATA_HOME'] || join(homeDirectory(env), '.local/share');
  if (env['XDG_DATA_HOME'] || isWritable(wanted)) return { path: wanted, substitute: false };
  return { path: ownTemporary(outerUser()), substitute: true };
}

/** Whether files can be made there, or the directory itself where it is not there yet. */
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

/** Everybody may write beside it, so it counts only while it is ours alone. */
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
    `there is no home directory that can be written, and ${path} cannot be used instead`,
    {
      place: { kind: 'path', path },
      hint: 'set KILN_ROOT to a directory for the store, or HOME to one that can be written',
      cause,
    },
  );
}
