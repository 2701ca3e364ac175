import type { Digest } from '../base/digest.ts';
import type { ProgressSink } from '../base/progress.ts';

/** Where a transfer is shown, and what ends it. */
export interface BringContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressSink;
  /** The vertex whose result is brought. */
  readonly vertex: Digest;
}

/**
 * A result that is known but not here: a record of an imported cache. It counts as a hit; its bytes
 * move when a step reads them, or when the caller of the build does. Bringing it again after a
 * success costs nothing.
 */
export class Deferred<R> {
  readonly #bring: (context: BringContext) => Promise<R>;
  #brought: { readonly result: R } | undefined;
  /** What is known of it: the solver passes this on, and looks at none of it. */
  readonly about: unknown;

  constructor(bring: (context: BringContext) => Promise<R>, about?: unknown) {
    this.#bring = bring;
    this.about = about;
  }

  /** The result when it was brought. */
  get brought(): R | undefined {
    return this.#brought?.result;
  }

  async bring(context: BringContext): Promise<R> {
    this.#brought ??= { result: await this.#bring(context) };
    return this.#brought.result;
  }
}

/** A result as a record gives it. */
export type Held<R> = R | Deferred<R>;

/**
 * A deferred result could not be brought, and its record is dropped: solving again executes what it
 * stood for.
 */
export class LostResult extends Error {
  /** What the step is called. */
  readonly description: string;

  constructor(description: string, cause: unknown) {
    super(`the cached result of ${description} could not be had`, { cause });
    this.name = 'LostResult';
    this.description = description;
  }
}
