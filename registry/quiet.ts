import { TransientFailure } from './failures.ts';
import type { RetryPolicy } from './retry.ts';

/**
 * Servers that asked to be left alone for a while (Retry-After): a limit is shared by all requests of this process, so all of them wait, and
 * not only the one that was told. Whoever comes meanwhile does not use up the next permission for nothing.
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

  /** Keeps in mind what `failure` of `origin` asks for, and answers it. More than anybody waits for is not kept. */
  after(origin: string, failure: Error): Error {
    if (!(failure instanceof TransientFailure) || !failure.afterMs || failure.afterMs > this.#policy.budget) return failure;
    this.#until.set(origin, Math.max(this.#until.get(origin) ?? 0, performance.now() + failure.afterMs));
    failure.held = true;
    return failure;
  }
}
