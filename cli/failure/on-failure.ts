import { messageOf } from '../../base/errors.ts';
import type { Executor } from '../../executor/executor.ts';
import type { FailedStep } from '../../solver/step-session.ts';
import type { BuildOptions } from '../build-options.ts';

/** The terminal that the shell of a failed step uses. */
export interface Terminal {
  /** True when standard input and standard output are a terminal. */
  readonly interactive: boolean;
  /** Stops the progress view from writing to the terminal until the returned value is disposed. */
  readonly lend: () => Disposable;
}

/** What happens when a step fails, for the flags `--output-on-error` and `--on-error`. */
export interface OnFailure {
  /** Called while the root file system and the mounts of the failed step still exist. */
  readonly step: (step: FailedStep, executor: Executor, signal: AbortSignal) => Promise<void>;
  /** Sentences to print after the build. Calls of `step` add to it. */
  readonly notes: readonly string[];
}

/**
 * Returns what to do for `--output-on-error` and then for `--on-error=shell`. Steps that fail at
 * the same time are handled one after the other.
 */
export function onFailure(
  { onError, outputOnError }: Pick<BuildOptions, 'onError' | 'outputOnError'>,
  terminal: Terminal,
): OnFailure {
  const notes: string[] = [];
  let turn: Promise<void> = Promise.resolve();
  const handle = async (step: FailedStep, executor: Executor, signal: AbortSignal) => {
    if (signal.aborted) return;
    if (outputOnError) {
      const { saveFailureOutput } = await import('./save-output.ts');
      // A failure to save the files must not hide the failure of the step, so it becomes a note.
      notes.push(await saveFailureOutput(outputOnError, step, signal).catch(messageOf));
    }
    if (onError === undefined) return;
    if (!terminal.interactive) {
      notes.push('no shell is opened: standard input and output are not a terminal');
      return;
    }
    const { openFailureShell } = await import('./shell.ts');
    using _lent = terminal.lend();
    const note = await openFailureShell(step, executor, signal).catch(
      (error: unknown) => `the shell failed: ${messageOf(error)}`,
    );
    if (note !== undefined) notes.push(note);
  };
  return {
    notes,
    step(step, executor, signal) {
      turn = turn.then(() => handle(step, executor, signal));
      return turn;
    },
  };
}
