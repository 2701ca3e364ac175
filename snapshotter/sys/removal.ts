import { closeSync, readFileSync, realpathSync, rmdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { errnoOf } from '../../base/errors.ts';
import { openat } from './calls.ts';
import { AT, O } from './constants.ts';
import { removing } from './rooted.ts';

/**
 * # Removing Kiln's own directories with hostile content
 *
 * A layer, a cache mount or the scratch directory of a killed build may hold anything: paths longer
 * than the kernel takes, files marked immutable, a forgotten mount. None of it may keep the rest
 * from being removed, or lead the removal out of the tree. Returns the first error of what
 * remained, or undefined. An error of the system is never thrown, because housekeeping continues
 * with the next tree.
 *
 * Node's own removal is fast (and, where it is asynchronous, on another thread). Where it fails, or
 * would walk into a mount, the tree is removed by descriptor, one name at a time.
 */
export function removeTree(path: string): unknown {
  if (isGone(path)) return undefined;
  if (!hasMounts(path)) {
    try {
      rmSync(path, { recursive: true, force: true });
      return undefined;
    } catch {
      // A part is removed. The slow way reports why the rest is not.
    }
  }
  const removal = new ThoroughRemoval(path);
  while (removal.step());
  return removal.failure;
}

/**
 * Like `removeTree`, but keeps the thread free meanwhile. `unmounted` says that nothing can be
 * mounted in the tree, which saves the check.
 */
export async function removeTreeSoon(path: string, { unmounted = false } = {}): Promise<unknown> {
  if (unmounted || !hasMounts(path)) {
    try {
      await rm(path, { recursive: true, force: true });
      return undefined;
    } catch {
      // As above.
    }
  }
  const removal = new ThoroughRemoval(path);
  for (let count = 1; removal.step(); count++) if (count % SLICE === 0) await setImmediate();
  return removal.failure;
}

/** The number of names that are removed before other work gets a turn. */
const SLICE = 100;

class ThoroughRemoval {
  readonly #steps: Iterator<void>;
  failure: unknown;

  constructor(path: string) {
    this.#steps = this.#remove(path);
  }

  /** Removes a few more names. Returns false when nothing is left to do. */
  step(): boolean {
    return !this.#steps.next().done;
  }

  *#remove(path: string): Generator<void> {
    let parent: number;
    try {
      parent = openat(AT.FDCWD, dirname(path), O.PATH | O.DIRECTORY);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') this.failure = error;
      return;
    }
    try {
      yield* removing(parent, basename(path), {
        stubborn: true,
        failed: (error) => (this.failure ??= error),
      });
    } finally {
      closeSync(parent);
    }
  }
}

/**
 * Removes an empty directory, the usual case after a commit, without a look at the mounts of the
 * host (0.8 ms). Returns false when more has to be done.
 */
function isGone(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
  }
}

/** True when something is mounted at or below `path` in this mount namespace. */
function hasMounts(path: string): boolean {
  try {
    const real = join(realpathSync(dirname(path)), basename(path));
    // The path as the kernel writes it: blanks and backslashes in octal.
    const written = real.replace(
      /[\t\n \\]/g,
      (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`,
    );
    return readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .some((line) => `${line.split(' ', 5)[4]}/`.startsWith(`${written}/`));
  } catch {
    return true;
  }
}
