import { Code, ConnectError } from '@connectrpc/connect';
import type { Bridge, BuildAnswer } from '../../builder/bridge.ts';
import type { ImageFrontendAnswer } from '../../builder/image-frontends.ts';
import type { Driver } from '../gateway/driven-builds.ts';
import type { Result } from '../proto/gateway.gen.ts';

/** How a frontend ended its part: with an answer, or with an error of its own. */
export type Ending =
  | { readonly kind: 'answer'; readonly answer: ImageFrontendAnswer }
  | { readonly kind: 'error'; readonly error: unknown };

/**
 * The part of a frontend in an image: it finds the build at the bridge, and returns once. What it
 * returns after that is refused, as with BuildKit.
 */
export class FrontendDriver implements Driver {
  /** How it ended. Undefined while it has not returned. */
  ending: Ending | undefined;
  readonly #bridge: Bridge;
  readonly #onEnd: () => void;

  constructor(bridge: Bridge, onEnd: () => void) {
    this.#bridge = bridge;
    this.#onEnd = onEnd;
  }

  async bridge(): Promise<Bridge> {
    return this.#bridge;
  }

  finish(answer: BuildAnswer | undefined, metadata: Result['metadata']): void {
    this.#end({ kind: 'answer', answer: { targets: answer?.targets ?? [], metadata } });
  }

  fail(error: unknown): void {
    this.#end({ kind: 'error', error });
  }

  #end(ending: Ending): void {
    if (this.ending)
      throw new ConnectError('the frontend has returned before', Code.FailedPrecondition);
    this.ending = ending;
    this.#onEnd();
  }
}
