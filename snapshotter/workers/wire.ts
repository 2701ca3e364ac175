import type { KilnErrorCode } from '../../base/codes.ts';
import { CancelledError, KilnError, type KilnErrorOptions, messageOf } from '../../base/errors.ts';

/**
 * What a worker gets: the name of a job, its input, and a flag that becomes 1 when the caller has
 * aborted.
 */
export interface JobRequest {
  readonly id: number;
  readonly job: string;
  readonly input: unknown;
  readonly cancelled: Int32Array<SharedArrayBuffer>;
  /** Gets the number of bytes that are done, if the caller wants to know. */
  readonly moved?: Float64Array<SharedArrayBuffer> | undefined;
}

export type JobReply =
  | { readonly id: number; readonly output: unknown }
  | { readonly id: number; readonly failure: Failure };

/** An error as plain data, because structured clone would lose its class and its code. */
export type Failure =
  | { readonly kind: 'cancelled' }
  | {
      readonly kind: 'kiln';
      readonly code: KilnErrorCode;
      readonly message: string;
      readonly options: KilnErrorOptions;
    }
  | {
      readonly kind: 'other';
      readonly name: string;
      readonly message: string;
      readonly stack: string | undefined;
      readonly code: unknown;
      /** For an error of the system: the call and its file. */
      readonly syscall: unknown;
      readonly path: unknown;
    };

/** Any thrown value as plain data. */
export function toFailure(error: unknown): Failure {
  if (error instanceof CancelledError) return { kind: 'cancelled' };
  if (error instanceof KilnError) {
    const { code, message, place, hint, exitCode, notes } = error;
    return { kind: 'kiln', code, message, options: { place, hint, exitCode, notes } };
  }
  const { name, stack, code, syscall, path } = (
    error instanceof Error ? error : {}
  ) as Partial<NodeJS.ErrnoException>;
  const word = (value: unknown) => (typeof value === 'string' ? value : undefined);
  return {
    kind: 'other',
    name: name ?? 'Error',
    message: messageOf(error),
    stack,
    code: word(code),
    syscall: word(syscall),
    path: word(path),
  };
}

/** The error that `toFailure` was called with, except for its cause. */
export function fromFailure(failure: Failure): Error {
  switch (failure.kind) {
    case 'cancelled':
      return new CancelledError();
    case 'kiln':
      return new KilnError(failure.code, failure.message, failure.options);
    case 'other': {
      const { code, syscall, path } = failure;
      const known = Object.entries({ code, syscall, path }).filter(
        ([, value]) => value !== undefined,
      );
      const error = Object.assign(new Error(failure.message), Object.fromEntries(known));
      error.name = failure.name;
      if (failure.stack !== undefined) error.stack = failure.stack;
      return error;
    }
  }
}
