import { CancelledError, KilnError } from '../base/errors.ts';
import { TransientFailure } from './failures.ts';

/** When to try again. Times in milliseconds. */
export interface RetryPolicy {
  /** The number of attempts in a row without progress. */
  readonly attempts: number;
  readonly firstDelay: number;
  readonly maxDelay: number;
  /**
   * The total time that one request may wait because a server asks for it (Retry-After). A server
   * that asks for more is given up. Such waits do not count as attempts: the server answers and
   * says when to come back.
   */
  readonly budget: number;
  /** The total time of attempts without progress, their own duration included. */
  readonly patience: number;
  /** Waits for a time; rejects when the signal aborts. Replaced in tests. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 5,
  firstDelay: 250,
  maxDelay: 8_000,
  budget: 300_000,
  patience: 120_000,
  wait,
};

/**
 * The limit of all attempts, even with progress: a server that sends one byte per connection must
 * not hold the build forever.
 */
const TOTAL_ATTEMPTS = 100;

/**
 * Runs `attempt` until it succeeds or fails for good, and waits between attempts: as long as
 * Retry-After says, within the budget, or else with a doubling delay and jitter. `progress` returns
 * a number that grows when an attempt makes progress; then all counts start over.
 */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  let reached = progress();
  let inARow = 0;
  let waited = 0;
  let since = performance.now();
  for (let total = 1; ; total++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error;
      const now = progress();
      if (now > reached) {
        inARow = waited = 0;
        since = performance.now();
      }
      reached = now;
      if (total >= TOTAL_ATTEMPTS) throw error.failure;
      const asked = error.afterMs;
      // A Retry-After of 0 is not a wait.
      if (asked !== undefined && asked > 0) {
        waited += asked;
        if (waited > policy.budget) throw beyond(error.failure, asked);
        since += asked;
        // Otherwise the exchange delays every request to this server until then, also our next one.
        if (!error.held) await policy.wait(asked, signal);
        continue;
      }
      if (++inARow >= policy.attempts || performance.now() - since > policy.patience)
        throw error.failure;
      await policy.wait(delay(policy, inARow), signal);
    }
  }
}

function beyond(failure: KilnError, asked: number): KilnError {
  return new KilnError(
    failure.code,
    `${failure.message} (it asks to wait ${Math.ceil(asked / 1000)} s)`,
    {
      hint: failure.hint,
      cause: failure,
    },
  );
}

function delay(policy: RetryPolicy, failures: number): number {
  const full = Math.min(policy.maxDelay, policy.firstDelay * 2 ** (failures - 1));
  // Half of the delay is fixed and half is random, so that many clients that failed together do not
  // return together.
  return full / 2 + Math.random() * (full / 2);
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = () => {
      clearTimeout(timer);
      reject(
        signal.reason instanceof KilnError ? signal.reason : new CancelledError(signal.reason),
      );
    };
    if (signal.aborted)
      return reject(
        signal.reason instanceof KilnError ? signal.reason : new CancelledError(signal.reason),
      );
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', cancel);
      resolve();
    }, ms);
    signal.addEventListener('abort', cancel, { once: true });
  });
}
