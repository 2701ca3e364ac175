import { CancelledError, KilnError } from '../base/errors.ts';
import { TransientFailure } from './failures.ts';

/** When to try again. Times in milliseconds. */
export interface RetryPolicy {
  /** Attempts in a row that brought nothing forward. */
  readonly attempts: number;
  readonly firstDelay: number;
  readonly maxDelay: number;
  /**
   * How long all waiting for one request that a server asks for (Retry-After) may take together. A server that wants more is given up
   * on. Such waits are no attempts: the server answers, and said when.
   */
  readonly budget: number;
  /** How long attempts that bring nothing may go on, their own time included. */
  readonly patience: number;
  /** Waits; rejects when the signal aborts. Replaced in tests. */
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

/** However much each attempt brings: a server that sends one byte per connection must not hold us for ever. */
const TOTAL_ATTEMPTS = 100;

/**
 * Runs `attempt` until it succeeds or fails for good, waiting between attempts: what Retry-After says, within the budget, else a doubling
 * delay with jitter. `progress` answers a number that grows when an attempt got further; then all counts start again.
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
      // "At once" is no time to wait for.
      if (asked !== undefined && asked > 0) {
        waited += asked;
        if (waited > policy.budget) throw beyond(error.failure, asked);
        since += asked;
        // The exchange holds back every request to this server until then, the next one of ours with them.
        if (!error.held) await policy.wait(asked, signal);
        continue;
      }
      if (++inARow >= policy.attempts || performance.now() - since > policy.patience) throw error.failure;
      await policy.wait(delay(policy, inARow), signal);
    }
  }
}

function beyond(failure: KilnError, asked: number): KilnError {
  return new KilnError(failure.code, `${failure.message} (it asks to wait ${Math.ceil(asked / 1000)} s)`, {
    hint: failure.hint,
    cause: failure,
  });
}

function delay(policy: RetryPolicy, failures: number): number {
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
