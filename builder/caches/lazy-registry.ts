import type { RegistryClient } from '../../registry/client.ts';
import { type BuildContext, registryOf } from '../build-context.ts';

/** One registry client for all caches of a build. It is made when it is first used. */
export class LazyRegistry implements AsyncDisposable {
  readonly #context: BuildContext;
  #client: Promise<RegistryClient> | undefined;

  constructor(context: BuildContext) {
    this.#context = context;
  }

  client(): Promise<RegistryClient> {
    this.#client ??= (async () => {
      const { RegistryClient } = await import('../../registry/client.ts');
      return new RegistryClient(await registryOf(this.#context));
    })();
    return this.#client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#client?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}
