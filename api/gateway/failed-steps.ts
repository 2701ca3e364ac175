import type { Digest } from '../../base/digest.ts';
import type { Session } from '../../builder/session.ts';
import type { KeptMount } from '../../solver/step-session.ts';

/**
 * What the failed steps of a build have left in their mounts, for a client that wants to look into
 * them. It remains until the build has ended.
 */
export class FailedSteps {
  readonly #mounts = new Map<Digest, readonly KeptMount[]>();

  /** To be told of each failed step. */
  readonly keep: NonNullable<Session['onStepFailed']> = async (step) => {
    try {
      this.#mounts.set(step.vertex, await step.keep());
    } catch {
      // What cannot be kept, such as on a full disk, must not hide why the step failed.
    }
  };

  /** The mounts of a step, in the order of its op. Undefined when it did not fail. */
  mountsOf(vertex: Digest): readonly KeptMount[] | undefined {
    return this.#mounts.get(vertex);
  }
}
