import { fstatSync, writeSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { osError } from '../base/oserror.ts';
import type { Output } from './progress/view.ts';
import { canMoveCursor } from './terminal/terminal-size.ts';
import { styled, unstyled, visible } from './terminal/text.ts';

/**
 * Standard output and standard error, as text. Writing waits until everything is written, as Node's
 * own streams do on Linux; those load the sockets of Node even for a pipe, 3 ms of a cached build
 * of 75 (2-core VM, 2026-11). For bytes that are piped on, and for a terminal, the stream of Node
 * is there.
 */
export const stdout: StandardOutput = outputOf(1);
export const stderr: Output = outputOf(2);

/** Standard output, which may end before the command does. */
export interface StandardOutput extends Output {
  /**
   * Why text that was written is lost: its reader has gone (`kiln images | head`), or the
   * descriptor was closed by who started us.
   */
  readonly lost: Loss | undefined;
}

type Loss = 'unread' | 'closed';

/**
 * For a command whose output is its work: throws when some of it was not taken. A short answer that
 * a reader has had enough of (`kiln images | head -1`) is well; a log or a graph that was cut off
 * is not what was asked for.
 */
export function takenWhole(): void {
  if (stdout.lost === undefined) return;
  throw new KilnError(
    'KILN_OUTPUT_UNWRITABLE',
    `standard output was not taken to its end: ${REASON[stdout.lost]}`,
    {
      hint: 'let the reader read to the end, or write to a file',
    },
  );
}

const REASON: Readonly<Record<Loss, string>> = {
  unread: 'the reader has gone',
  closed: 'it is closed',
};

/**
 * Node opens /dev/null in place of a closed descriptor, so the launcher looks before Node starts.
 */
export function isClosed(fd: 1 | 2, env: NodeJS.ProcessEnv = process.env): boolean {
  return fd === 1 && env['KILN_STDOUT_CLOSED'] === '1';
}

export function closedOutput(): KilnError {
  return new KilnError(
    'KILN_OUTPUT_UNWRITABLE',
    'standard output is closed: what belongs there is lost',
    {
      hint: 'redirect standard output to a file, or to /dev/null when nobody wants to read it',
    },
  );
}

function outputOf(fd: 1 | 2): StandardOutput {
  let terminal: boolean | undefined;
  let lost: Loss | undefined;
  const stream = () => (fd === 1 ? process.stdout : process.stderr);
  const isTerminal = () => (terminal ??= mayBeTerminal(fd) && stream().isTTY === true);
  const put = (text: string | Uint8Array) => {
    if (text.length > 0) lost ??= isClosed(fd) ? 'closed' : writeAll(fd, text);
  };
  return {
    write: (text) => put(typeof text === 'string' && isTerminal() ? visible(text) : text),
    style: (text) =>
      put(isTerminal() ? (canMoveCursor(process.env) ? styled(text) : unstyled(text)) : text),
    control: (text) => put(text),
    get lost() {
      return lost;
    },
    get isTTY() {
      return isTerminal();
    },
    get columns() {
      return isTerminal() ? stream().columns : undefined;
    },
    get rows() {
      return isTerminal() ? stream().rows : undefined;
    },
  };
}

/** Memory devices (`/dev/null`, `/dev/full`), by their major number in Linux's devices.txt. */
const MEMORY_DEVICES = 1;

/** Spares what is no terminal for certain the stream of Node, which is loaded with its sockets. */
function mayBeTerminal(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isCharacterDevice() && stat.rdev >> 8 !== MEMORY_DEVICES;
  } catch {
    // Closed by who started us.
    return false;
  }
}

/**
 * Writes until everything is written; answers why not, when nobody reads it. That ends no command:
 * what is under way is done all the same, and the exit status says how it came out. Standard error
 * is for telling: when that cannot be done, there is nobody to tell.
 */
function writeAll(fd: number, text: string | Uint8Array): Loss | undefined {
  let rest: Uint8Array = typeof text === 'string' ? Buffer.from(text) : text;
  while (rest.length > 0)
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') pause();
      else if (code === 'EPIPE') return 'unread';
      else if (code === 'EBADF') return 'closed';
      // The next text may get through: a full disk can be made room on.
      else if (fd === 2) return undefined;
      else
        throw osError(error, {
          code: 'KILN_OUTPUT_UNWRITABLE',
          what: 'standard output cannot be written',
          doing: 'write',
          hint: { ENOSPC: FULL, EDQUOT: FULL },
        });
    }
  return undefined;
}

const FULL = 'make room where it is redirected to, or redirect it elsewhere';

/** Whoever shares the pipe has made it one that does not wait. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}
