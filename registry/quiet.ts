import { TransientFailure } from './failures.ts';
import type { RetryPolicy } from './retry.ts';

/**
 * Remembers servers that asked for a pause (Retry-After). All requests of this process to that
 * server wait, because they share one limit. A request sent meanwhile would only use up
 * the next permission.
 */
export class Quiet {
  readonly #policy: Pick<RetryPolicy, 'wait' | 'budget'>;
  readonly #until = new Map<string, number>();

  constructor(policy: Pick<RetryPolicy, 'wait' | 'budget'>) {
    this.#policy = policy;
  }

  /** Waits until `origin` may be asked again. */
  async over(origin: string, signal: AbortSignal): Promise<void> {
    const until = this.#until.get(origin);
    if (until === undefined) return;
    const left = until - performance.now();
    if (left > 0) await this.#policy.wait(Math.ceil(left), signal);
    if (this.#until.get(origin) === until) this.#until.delete(origin);
  }

  /**
   * Remembers the pause that `failure` of `origin` asks for, and returns the failure. A pause that
   * is longer than any request waits is not remembered.
   */
  after(origin: string, failure: Error): Error {
    if (
      !(failure instanceof TransientFailure) ||
      !failure.afterMs ||
      failure.afterMs > this.#policy.budget
    )
      return failure;
    this.#until.set(
      origin,
      Math.max(this.#until.get(origin) ?? 0, performance.now() + failure.afterMs),
    );
    failure.held = true;
    return failure;
  }
}
