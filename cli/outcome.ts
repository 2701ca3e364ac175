import { CancelledError } from '../base/errors.ts';
import { closedOutputError, stderr, stdout } from './output.ts';
import { printError } from './report.ts';

/**
 * # The exit code of the process
 *
 * The process starts with the exit code of a failure. Only `succeed` in this module changes that.
 * It is called when a command has returned 0 and everything that the command opened is closed.
 *
 * So none of these can look like a build that succeeded: an event loop that runs empty because a
 * promise never settles, an error that is not caught, a crash of Node.
 */
export interface Outcome {
  /** Ends the process with the exit code that the command returned. */
  returned(code: number): Promise<void>;
  /** Prints the error that the command threw, and ends the process with the error's exit code. */
  threw(error: unknown): Promise<void>;
}

/** EX_SOFTWARE of sysexits.h: the exit code until the outcome is known, and for bugs. */
const SOFTWARE = 70;
/** What a command returns that was cancelled and has printed so itself. */
const CANCELLED = 130;
/**
 * How long something may keep the event loop alive after the outcome is known. It may be a
 * connection that is about to close.
 */
const LINGER_MS = 60_000;

let known = false;

/**
 * Sets the exit code of a failure and handles errors that nothing catches. Call it once, before
 * anything that can fail.
 */
export function beginOutcome(): Outcome {
  process.exitCode = SOFTWARE;
  process.on('exit', () => known || unfinished());
  process.on('uncaughtException', lastResort).on('unhandledRejection', lastResort);
  return {
    async returned(code) {
      if (code === CANCELLED) endNow(code);
      if (code !== 0) return setOutcome(code);
      const lost = stdout.lost === 'closed' ? closedOutputError() : undefined;
      if (lost) return this.threw(lost);
      succeed();
    },
    async threw(error) {
      const code = await printError(error);
      // A user who cancels does not want to wait. Bytes that a stalled reader has not taken would
      // keep the event loop alive.
      if (error instanceof CancelledError) endNow(error.exitCode);
      setOutcome(code);
    },
  };
}

/** The only place where the process gets the exit code of a success. */
function succeed(): void {
  setOutcome(0);
}

/** Makes `code` the exit code. Nothing that happens later changes it. */
function setOutcome(code: number): void {
  known = true;
  process.exitCode = code;
  // Without this, Node would take its heap apart, and close what the process leaves open.
  process.on('exit', () => process.exit());
  setTimeout(() => {
    stderr.write('ERROR: something that kiln opened is still open after its work was done\n');
    process.exit(code || SOFTWARE);
  }, LINGER_MS).unref();
}

/**
 * Ends the process at once, for a user who does not want to wait. The kernel and the watchdog clean
 * up, as after a crash.
 */
export function endNow(code: number): never {
  known = true;
  process.exit(code);
}

/**
 * Reports that the process ends before the outcome is known: the event loop ran empty, or something
 * called process.exit.
 */
function unfinished(): void {
  if (!process.exitCode || process.exitCode === SOFTWARE) process.exitCode = 1;
  stderr.write(
    'ERROR: kiln ended before its work was done [KILN_UNFINISHED]\n' +
      'hint: run the command again, and report this if it happens again\n',
  );
}

/** Handles an error that nothing caught. Other work in progress is abandoned, as in a crash. */
function lastResort(error: unknown): void {
  if (known) return;
  printError(error).then(endNow, () => endNow(SOFTWARE));
}
