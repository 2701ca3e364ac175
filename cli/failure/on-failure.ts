import { messageOf } from '../../base/errors.ts';
import type { Executor } from '../../executor/executor.ts';
import type { FailedStep } from '../../solver/step-session.ts';
import type { BuildOptions } from '../build-options.ts';

/** The part of a terminal that a shell needs for itself. */
export interface Terminal {
  /** True when somebody sits at it: input and output are a terminal. */
  readonly interactive: boolean;
  /** Nothing is written to it until what this answers is disposed. */
  readonly lend: () => Disposable;
}

/**
 * What is done while the tree and the mounts of a failed step are still there, and what is to be
 * told of it at the end.
 */
export interface OnFailure {
  readonly step: (step: FailedStep, executor: Executor, signal: AbortSignal) => Promise<void>;
  readonly notes: readonly string[];
}

/**
 * `--output-on-error`, then `--on-error=shell`. Steps that fail at once are looked at one by one.
 */
export function onFailure(
  { onError, outputOnError }: Pick<BuildOptions, 'onError' | 'outputOnError'>,
  terminal: Terminal,
): OnFailure {
  const notes: string[] = [];
  let turn: Promise<void> = Promise.resolve();
  const look = async (step: FailedStep, executor: Executor, signal: AbortSignal) => {
    if (signal.aborted) return;
    if (outputOnError) {
      const { saveFailureOutput } = await import('./save-output.ts');
      // The failure of the step is the news; this one is told beside it.
      notes.push(
        await saveFailureOutput(outputOnError, step, signal).catch((error: unknown) =>
          messageOf(error),
        ),
      );
    }
    if (onError === undefined) return;
    if (!terminal.interactive) {
      notes.push('no shell is opened: standard input and output are not terminals');
      return;
    }
    const { openFailureShell } = await import('./shell.ts');
    using _lent = terminal.lend();
    const note = await openFailureShell(step, executor, signal).catch(
      (error: unknown) => `no shell: ${messageOf(error)}`,
    );
    if (note !== undefined) notes.push(note);
  };
  return {
    notes,
    step(step, executor, signal) {
      turn = turn.then(() => look(step, executor, signal));
      return turn;
    },
  };
}
