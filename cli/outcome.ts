import { CancelledError } from '../base/errors.ts';
import { closedOutput, stderr, stdout } from './output.ts';
import { exitCodeOf, printError } from './report.ts';

/**
 * # How the process ends
 *
 * Success is said, never fallen into. From its first moment the process is one that failed;
 * `succeed` of this module is the only place that changes that, and it is reached when a command
 * has answered 0 and all that it opened is closed. So an event loop that runs dry because something
 * will never settle, an error that nobody caught, or a Node that gives up cannot pass for a build
 * that worked.
 */
export interface Outcome {
  /** What the command answered. */
  answered(code: number): Promise<void>;
  /** What it threw instead. */
  failed(error: unknown): Promise<void>;
}

/** The process has failed until `succeed`, in the words of sysexits.h by a fault of its own. */
const UNTOLD = 70;
/** What a command that was cancelled, and has told so itself, answers. */
const CANCELLED = 130;
/**
 * After the outcome nothing should hold the event loop. What does may be a connection that is about
 * to close.
 */
const LINGER_MS = 60_000;

let told = false;

/** Makes the process one that failed. To be called once, before anything that can go wrong. */
export function beginOutcome(): Outcome {
  process.exitCode = UNTOLD;
  process.on('exit', () => told || unfinished());
  process.on('uncaughtException', lastResort).on('unhandledRejection', lastResort);
  return {
    async answered(code) {
      if (code === CANCELLED) endNow(code);
      if (code !== 0) return tell(code);
      const lost = stdout.lost === 'closed' ? closedOutput() : undefined;
      if (lost) return this.failed(lost);
      succeed();
    },
    async failed(error) {
      await printError(error);
      // Who cancels waits for nobody: bytes that a reader who stands still has not taken would hold
      // the loop.
      if (error instanceof CancelledError) endNow(error.exitCode);
      tell(exitCodeOf(error));
    },
  };
}

/** The one place where the process becomes one that succeeded. */
function succeed(): void {
  tell(0);
}

/** From here on the exit status is `code`, whatever comes. */
function tell(code: number): void {
  told = true;
  process.exitCode = code;
  setTimeout(() => {
    stderr.write('ERROR: something that kiln opened is still open after its work was done\n');
    process.exit(code || UNTOLD);
  }, LINGER_MS).unref();
}

/**
 * Ends the process now, for a user who will not wait: as after a crash, the kernel and the watchdog
 * clean up.
 */
export function endNow(code: number): never {
  told = true;
  process.exit(code);
}

/** The loop ran dry, or something called process.exit: nobody has said how the command came out. */
function unfinished(): void {
  if (!process.exitCode || process.exitCode === UNTOLD) process.exitCode = 1;
  stderr.write(
    'ERROR: kiln ended before its work did: what it was doing is not done ' +
      '[KILN_UNFINISHED]\n' +
      'hint: run the command again, and report this if it happens again\n',
  );
}

/** An error that nobody was there to catch. What else was under way is left as after a crash. */
function lastResort(error: unknown): void {
  if (told) return;
  void printError(error).finally(() => endNow(exitCodeOf(error)));
}
