import { errnoOf, KilnError } from '../base/errors.ts';
import { osError } from '../base/oserror.ts';
import { mayBeTerminal, writeWhole } from '../base/standard-stream.ts';
import type { Output } from './progress/view.ts';
import { canMoveCursor } from './terminal/terminal-size.ts';
import { escapeControls, escapeDroppingColors, escapeKeepingColors } from './terminal/text.ts';

/**
 * Standard output and standard error, for text. `write` returns when everything is written, as
 * Node's own streams do on Linux. Those would load Node's socket code even for a pipe, which takes
 * 3 ms of the 75 ms of a cached build (2-core VM, 2026-11). Node's stream is used for terminals
 * here, and for binary output in binary-output.ts.
 */
export const stdout: StandardOutput = outputOf(1);
export const stderr: Output = outputOf(2);

/** Standard output. Its reader may end before the command does. */
export interface StandardOutput extends Output {
  /**
   * Why text was lost, or undefined when none was: the reader has ended (`kiln images | head`), or
   * the program that started Kiln closed the descriptor.
   */
  readonly lost: Loss | undefined;
}

type Loss = 'unread' | 'closed';

/**
 * Throws KILN_OUTPUT_UNWRITABLE when some of the output was lost. Commands call it whose output is
 * useless when it is cut off, such as a log or a graph. A list that a reader cuts off
 * (`kiln images | head -1`) is not an error.
 */
export function requireWholeOutput(): void {
  if (stdout.lost === undefined) return;
  throw new KilnError(
    'KILN_OUTPUT_UNWRITABLE',
    `standard output was not read to its end: ${REASON[stdout.lost]}`,
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
 * Says whether the descriptor was closed when Kiln was started. Node opens /dev/null in place of a
 * closed descriptor, so the launcher checks it before Node starts and sets a variable.
 */
export function isClosed(fd: 1 | 2, env: NodeJS.ProcessEnv = process.env): boolean {
  return fd === 1 && env['KILN_STDOUT_CLOSED'] === '1';
}

export function closedOutputError(): KilnError {
  return new KilnError(
    'KILN_OUTPUT_UNWRITABLE',
    'standard output is closed, so the output is lost',
    {
      hint: 'redirect standard output to a file, or to /dev/null when it is not needed',
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
    write: (text) => put(typeof text === 'string' && isTerminal() ? escapeControls(text) : text),
    style: (text) =>
      put(
        isTerminal()
          ? canMoveCursor(process.env)
            ? escapeKeepingColors(text)
            : escapeDroppingColors(text)
          : text,
      ),
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

/**
 * Writes all of `text`. Returns why it could not when nothing reads the descriptor: the command
 * goes on all the same, and the exit code reports its result. Other errors are thrown for standard
 * output and ignored for standard error, because an error could not be printed there anyway.
 */
function writeAll(fd: number, text: string | Uint8Array): Loss | undefined {
  try {
    writeWhole(fd, typeof text === 'string' ? Buffer.from(text) : text);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'EPIPE') return 'unread';
    if (code === 'EBADF') return 'closed';
    // A later write may succeed, for instance once a full disk has room again.
    if (fd === 2) return undefined;
    throw osError(error, {
      code: 'KILN_OUTPUT_UNWRITABLE',
      what: 'standard output cannot be written',
      doing: 'write',
      hint: { ENOSPC: FULL, EDQUOT: FULL },
    });
  }
  return undefined;
}

const FULL = 'free space on the disk that it is redirected to, or redirect it elsewhere';
