/**
 * A job is a pure function over plain data that a worker thread can do: synchronous file work,
 * hashing, compression. Its input and its result are transferred by structured clone. Every room
 * lists its jobs in a `jobs.ts`; `cli/worker-thread.ts` serves them all.
 */
export interface Job<I, O> {
  /** Unique among all folders. */
  readonly name: string;
  readonly run: (input: I, context: JobContext) => O | Promise<O>;
}

export interface JobContext {
  /** Throws CancelledError once the caller has aborted. Call it every few milliseconds of work. */
  readonly check: () => void;
}

// Jobs with different inputs are in one list. The pool's `run` ties each job to its own type of
// input.
export type AnyJob = Job<never, unknown>;
