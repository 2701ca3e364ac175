/**
 * A job is a pure function over plain data that a worker thread can do: synchronous file work,
 * hashing, compression. It gets its input by structured clone and answers in the same way. Every
 * room lists its jobs in a `jobs.ts`; `cli/worker.ts` serves them all.
 */
export interface Job<I, O> {
  /** Unique among all folders. */
  readonly name: string;
  readonly run: (input: I, context: JobContext) => O | Promise<O>;
}

export interface JobContext {
  /**
   * Throws CancelledError once the caller has aborted. To be called every few milliseconds of work.
   */
  readonly check: () => void;
}

// Jobs of any input live in one list; each is called only with its own input, which `run` of the
// pool ties to it.
export type AnyJob = Job<never, unknown>;
