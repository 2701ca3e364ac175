import { CancelledError, KilnError } from '../base/errors.ts';
import { TransientFailure } from './failures.ts';

/** When to try again. Times in milliseconds. */
export interface RetryPolicy {
  /** Attempts in a row that brought nothing forward. */
  readonly attempts: number;
  readonly firstDelay: number;
  readonly maxDelay: number;
  /** A server that wants us to wait longer than this is given up on. */
  readonly maxRetryAfter: number;
  /** Waits; rejects when the signal aborts. Replaced in tests. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 5,
  firstDelay: 250,
  maxDelay: 8_000,
  maxRetryAfter: 60_000,
  wait,
};

/** However much each attempt brings: a server that sends one byte per connection must not hold us for ever. */
const TOTAL_ATTEMPTS = 100;

/**
 * Runs `attempt` until it succeeds or fails for good, waiting between attempts: what Retry-After says, else a doubling delay with
 * jitter. `progress` answers a number that grows when an attempt got further; then the count starts again.
 */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  let reached = progress();
  let inARow = 0;
  for (let total = 1; ; total++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error;
      const now = progress();
      inARow = now > reached ? 1 : inARow + 1;
      reached = now;
      if (inARow >= policy.attempts || total >= TOTAL_ATTEMPTS) throw error.failure;
      await policy.wait(delay(policy, inARow, error), signal);
    }
  }
}

function delay(policy: RetryPolicy, failures: number, error: TransientFailure): number {
  if (error.afterMs !== undefined) {
    if (error.afterMs <= policy.maxRetryAfter) return error.afterMs;
    throw new KilnError(error.failure.code, `${error.failure.message} (it asks to wait ${Math.ceil(error.afterMs / 1000)} s)`, {
      hint: error.failure.hint,
      cause: error.failure,
    });
  }
  const full = Math.min(policy.maxDelay, policy.firstDelay * 2 ** (failures - 1));
  // Half fixed, half random: many clients that failed together do not come back together.
  return full / 2 + Math.random() * (full / 2);
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = () => {
      clearTimeout(timer);
      reject(signal.reason instanceof KilnError ? signal.reason : new CancelledError(signal.reason));
    };
    if (signal.aborted) return reject(signal.reason instanceof KilnError ? signal.reason : new CancelledError(signal.reason));
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', cancel);
      resolve();
    }, ms);
    signal.addEventListener('abort', cancel, { once: true });
  });
}
