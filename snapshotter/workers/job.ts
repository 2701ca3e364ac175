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
  /** Counts bytes that are done, for the progress. Absent when nobody wants to know. */
  readonly moved?: ((bytes: number) => void) | undefined;
}

/** Told from time to time how many bytes of some work are done so far. */
export type OnMoved = (bytes: number) => void;

// Jobs with different inputs are in one list. The pool's `run` ties each job to its own type of
// input.
export type AnyJob = Job<never, unknown>;

/**
 * Returns what makes the `OnMoved` of each of `parts` of some work. `told` gets the bytes of all.
 */
export function sumOf(parts: number, told: OnMoved): (part: number) => OnMoved {
  const moved = new Array<number>(parts).fill(0);
  return (part) => (bytes) => {
    moved[part] = bytes;
    told(moved.reduce((sum, count) => sum + count, 0));
  };
}
