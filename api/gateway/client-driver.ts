import type { Bridge, BuildAnswer, BuildDriver } from '../../builder/bridge.ts';
import type { Result } from '../proto/gateway.gen.ts';

/**
 * # A client in the place of a frontend
 *
 * The client opens a build that names no frontend, and drives it by calls of its own: it has
 * frontends asked and graphs solved, and at last returns what is to be exported. The build itself
 * begins with the first call that needs one; a client that only looks leaves nothing behind.
 */
export class ClientDriver {
  readonly #wanted = Promise.withResolvers<'build' | 'nothing'>();
  readonly #bridge = Promise.withResolvers<Bridge>();
  readonly #answer = Promise.withResolvers<BuildAnswer | undefined>();

  constructor() {
    // Each is told to whoever asks; nobody may.
    this.#bridge.promise.catch(() => {});
    this.#answer.promise.catch(() => {});
  }

  /**
   * What the client wants first: something of a build, or its end without one. Rejects when the
   * client ends the build with an error of its own.
   */
  async first(): Promise<'build' | 'nothing'> {
    const wanted = await this.#wanted.promise;
    if (wanted === 'nothing') await this.#answer.promise;
    return wanted;
  }

  /** What the calls of the client work with. Begins the build. */
  bridge(): Promise<Bridge> {
    this.#wanted.resolve('build');
    return this.#bridge.promise;
  }

  /** Calls of the client can look into a build that it does not drive. */
  lend(bridge: Bridge): void {
    this.#bridge.resolve(bridge);
  }

  /** What the client says of the result, by BuildKit's names. */
  said: Result['metadata'] = {};

  /** The client is done. Undefined: there is nothing to export. */
  finish(answer: BuildAnswer | undefined, metadata: Result['metadata']): void {
    this.said = metadata;
    this.#answer.resolve(answer);
    this.#wanted.resolve(answer ? 'build' : 'nothing');
  }

  /** The client, or the build, has failed: nothing comes after that. */
  fail(error: unknown): void {
    this.#bridge.reject(error);
    this.#answer.reject(error);
    this.#wanted.resolve('nothing');
  }

  /** What the builder asks. Waits until the client is done. */
  readonly drive: BuildDriver = async (bridge) => {
    this.#bridge.resolve(bridge);
    const answer = await raced(this.#answer.promise, bridge.context.signal);
    const { request } = bridge.context;
    return answer ?? { request, targets: [], dockerfile: undefined };
  };
}

async function raced<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
