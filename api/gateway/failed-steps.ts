import type { Digest } from '../../base/digest.ts';
import type { KeepFailed, LeftResults } from '../../solver/step-session.ts';

/**
 * What the failed ops of a build have left, for a client that wants to look into them. It remains
 * until the build has ended.
 */
export class FailedSteps {
  readonly #left = new Map<Digest, LeftResults>();

  /** To be told of each op that failed. */
  readonly keep: KeepFailed = async (vertex, leave) => {
    try {
      this.#left.set(vertex, await leave());
    } catch {
      // What cannot be kept, such as on a full disk, must not hide why the op failed.
    }
  };

  /** What an op has left. Undefined when it did not fail. */
  leftBy(vertex: Digest): LeftResults | undefined {
    return this.#left.get(vertex);
  }
}
