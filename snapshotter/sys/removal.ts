import { closeSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { errnoOf } from '../../base/errors.ts';
import { openat } from './calls.ts';
import { AT, O } from './constants.ts';
import { removing } from './rooted.ts';

/**
 * # Removing what is ours, with all that others left in it
 *
 * A layer, a cache mount or the scratch of a killed build may hold anything: paths longer than the
 * system takes, files marked immutable, a mount that somebody forgot. None of it may keep the rest
 * from being removed, or lead the removal out of the tree. Answers the first error of what stayed,
 * undefined when nothing did; an error of the system is never thrown, because housekeeping goes on
 * with the next.
 *
 * Node's own removal is quick (and, where it is asynchronous, on another thread). Where that fails,
 * or would walk into a mount, the removal goes by descriptor, one name at a time.
 */
export function removeTree(path: string): unknown {
  if (!hasMounts(path)) {
    try {
      rmSync(path, { recursive: true, force: true });
      return undefined;
    } catch {
      // Some of it is gone; the long way tells why the rest is not.
    }
  }
  const removal = new Thorough(path);
  while (removal.step());
  return removal.failure;
}

/**
 * As `removeTree`, leaving the thread free meanwhile. `unmounted`: nothing can be mounted in it, so
 * that need not be looked up.
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
  const removal = new Thorough(path);
  for (let count = 1; removal.step(); count++) if (count % SLICE === 0) await setImmediate();
  return removal.failure;
}

/** Names removed between two looks at what else there is to do. */
const SLICE = 100;

class Thorough {
  readonly #steps: Iterator<void>;
  failure: unknown;

  constructor(path: string) {
    this.#steps = this.#remove(path);
  }

  /** Removes a little more; false when there is nothing left to do. */
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
      yield* removing(parent, basename(path), { stubborn: true, failed: (error) => (this.failure ??= error) });
    } finally {
      closeSync(parent);
    }
  }
}

/** Whether something is mounted at or below `path`, in our namespace. */
function hasMounts(path: string): boolean {
  try {
    const real = join(realpathSync(dirname(path)), basename(path));
    // As the kernel writes it: blanks and backslashes in octal.
    const written = real.replace(/[\t\n \\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
    return readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .some((line) => `${line.split(' ', 5)[4]}/`.startsWith(`${written}/`));
  } catch {
    return true;
  }
}
