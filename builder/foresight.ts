import { formatPlatform } from '../base/platform.ts';
import type { ProgressEvent, ProgressSink } from '../base/progress.ts';
import type { ImageResolver, ResolvedImage } from '../frontend/frontend.ts';
import type { ImageSources } from '../registry/pull.ts';
import type { BuildRequest } from './request.ts';
import type { Session } from './session.ts';

/**
 * # A build that does not wait for a registry
 *
 * What a tag means hardly ever changes between two builds. So while its registry is asked, the
 * build goes on with what the tag meant before: it lowers the Dockerfile, reads the context and
 * looks for records. It runs no step, exports nothing and shows nothing of this until the answer
 * is there (`confirmed`). When the answer is the same, nothing has to be done again. When it is
 * another one, or an error, all of it is dropped and the build begins again, with the answer.
 */
export class Foresight {
  readonly #sink: ProgressSink;
  readonly #answers = new Map<string, Promise<ResolvedImage>>();
  /** What is assumed in this attempt. Each rejects when it was wrong. */
  #assumed: Promise<void>[] = [];
  #mayAssume = true;
  #held: ProgressEvent[] | undefined;
  /** True while the second attempt does again what the first one did before its first question. */
  #repeats = false;

  constructor(sink: ProgressSink) {
    this.#sink = sink;
  }

  /** Passes events on. Those that come while something is assumed wait until it is confirmed. */
  readonly progress: ProgressSink = (event) => {
    if (this.#held) this.#held.push(event);
    else this.#sink(event);
  };

  /**
   * Wraps a resolver: it answers with what `images` recall while `resolve` asks. `resolve` is
   * called once for each question of the build, whatever the number of attempts.
   */
  resolver(images: Pick<ImageSources, 'recall'>, resolve: ImageResolver): ImageResolver {
    return async (ref, platform, options) => {
      if (this.#repeats) this.#held = undefined;
      this.#repeats = false;
      const key = JSON.stringify([ref, formatPlatform(platform), platform.osVersion, options.pull]);
      const known = this.#answers.get(key);
      const asked = known ?? resolve(ref, platform, options);
      this.#answers.set(key, asked);
      if (!this.#mayAssume || options.pull) return await asked;
      asked.catch(() => {});
      const recalled = await images.recall(ref, platform);
      if (!recalled) return await asked;
      this.#held ??= [];
      const isRight = asked.then(({ digest }) => {
        if (digest !== recalled.digest) throw new Error(`${ref} is another image now`);
      });
      isRight.catch(() => {});
      this.#assumed.push(isRight);
      // The question is on its way before the processor is used for other things.
      await new Promise(setImmediate);
      const { name, digest, config, local } = recalled;
      return { name, digest, config, local };
    };
  }

  /** From now on nothing is assumed: the build has read what can be read only once. */
  readonly giveUp = (): void => {
    this.#mayAssume = false;
  };

  /** Waits until all that is assumed is known to be right. Rejects when it is not. */
  readonly confirmed = async (): Promise<void> => {
    await Promise.all(this.#assumed);
    this.#assumed = [];
    this.#release();
  };

  /** Runs `work`, and once more when what it assumed was wrong. */
  async attempt<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const first = work();
    const [ended] = await Promise.allSettled([first]);
    const [right] = await Promise.allSettled([this.confirmed()]);
    if (right.status === 'fulfilled' || signal.aborted) {
      this.#release();
      if (ended.status === 'rejected') throw ended.reason;
      return ended.value;
    }
    this.giveUp();
    this.#assumed = [];
    this.#held = [];
    this.#repeats = true;
    try {
      return await work();
    } finally {
      this.#release();
    }
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const event of held) this.#sink(event);
  }
}

/**
 * Says whether a build may assume what its bases are. It may not when somebody else decides about
 * them or drives the build, or when the user wants them looked up.
 */
export function mayAssume(
  { pull, lookUps, sourcePolicies, cacheFrom, cacheTo }: BuildRequest,
  { verifySource }: Session,
): boolean {
  return (
    !pull &&
    lookUps === 'ask' &&
    sourcePolicies.length === 0 &&
    !verifySource &&
    cacheFrom.length + cacheTo.length === 0
  );
}
