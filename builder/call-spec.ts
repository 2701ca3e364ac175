import type { KilnError } from '../base/errors.ts';
import type { CallMethod } from '../frontend/call/questions.ts';

/** A question about a Dockerfile, asked instead of building it. */
export interface CallSpec {
  readonly method: CallMethod;
  readonly format: 'text' | 'json';
  /** Warnings of a check do not change the exit code. */
  readonly ignoreStatus: boolean;
  /** The name of the Dockerfile in the text of a check. The default is its name in the context. */
  readonly shownName?: string | undefined;
}

/**
 * The text for standard output, and the exit code. `error` is a mistake in the Dockerfile that a
 * check found. It is to be shown after the text.
 */
export interface CallAnswer {
  readonly text: string;
  readonly exitCode: number;
  readonly error: KilnError | undefined;
  /** Returns the answer in the form of `format=json`, when the question was a check. */
  readonly document?: (() => unknown) | undefined;
}
