import type { KilnErrorCode } from './codes.ts';

/** A place a user can go to: a range of lines in a named text (1-based, inclusive), or a flag. */
export type Place =
  | {
      readonly kind: 'source';
      readonly source: SourceText;
      readonly start: Position;
      readonly end: Position;
    }
  | { readonly kind: 'flag'; readonly flag: string }
  | { readonly kind: 'path'; readonly path: string };

/** A place in a text. */
export type SourcePlace = Extract<Place, { readonly kind: 'source' }>;

/**
 * `line` and `column` count from 1; a column counts UTF-16 units. `column` 0 means the whole line.
 */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A text with a name, so that errors can quote it: a Dockerfile, a `.dockerignore`. */
export interface SourceText {
  readonly name: string;
  readonly text: string;
  /** What a graph of a client says of the text. Undefined for a Dockerfile that was read here. */
  readonly told?: {
    readonly language: string;
    /** A pb.Definition of the tree that has the text as a file, if the graph says so. */
    readonly definition?: Uint8Array | undefined;
  };
}

export interface KilnErrorOptions {
  /** Where the error happened, if that is known. */
  readonly place?: Place | undefined;
  /** What the user can do now: a full sentence or a command. A command has no period at its end. */
  readonly hint?: string | undefined;
  /** The exit code of the process when this error ends the command. The default is 1. */
  readonly exitCode?: number;
  /** More lines that belong to the error, such as the end of a failed step's output. */
  readonly notes?: readonly string[];
  readonly cause?: unknown;
}

/**
 * A failure that a user can cause or meet. `code` is stable (`KILN_` and upper-case words) and
 * listed in docs/errors.md. `message` says what is wrong in one sentence, with a lower-case first
 * word and no period at its end. Anything else that is thrown is a bug in Kiln and is reported as a
 * bug.
 */
export class KilnError extends Error {
  readonly code: KilnErrorCode;
  readonly place: Place | undefined;
  readonly hint: string | undefined;
  readonly exitCode: number;
  /**
   * The field is not called `details`: the test runner has a string of that name on errors and
   * would silently drop the failure.
   */
  readonly notes: readonly string[];

  constructor(code: KilnErrorCode, message: string, options: KilnErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KilnError';
    this.code = code;
    this.place = options.place;
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? 1;
    this.notes = options.notes ?? [];
  }

  /** The same error with a place. An error that already has a place keeps it. */
  at(place: Place | undefined): KilnError {
    return this.place || !place ? this : this.with({ place });
  }

  /** The same error with some parts replaced. */
  with(changes: KilnErrorOptions & { readonly message?: string }): KilnError {
    const { message = this.message, ...options } = changes;
    const { code, place, hint, exitCode, notes, cause } = this;
    return new KilnError(code, message, { place, hint, exitCode, notes, cause, ...options });
  }
}

/**
 * The build was cancelled by the user (Ctrl-C) or by its caller. The exit code is 130, as shells
 * expect.
 */
export class CancelledError extends KilnError {
  constructor(cause?: unknown) {
    super('KILN_CANCELLED', 'the build was cancelled', { exitCode: 130, cause });
    this.name = 'CancelledError';
  }
}

/** The errno name (`ENOENT`, `ENOSPC`, ...) of a system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string')
    return error.code;
  return undefined;
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
