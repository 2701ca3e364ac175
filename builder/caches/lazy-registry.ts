import type { RegistryClient, RegistryOptions } from '../../registry/client.ts';

/** One registry client for all caches of a build. It is made when it is first used. */
export class LazyRegistry implements AsyncDisposable {
  readonly #options: RegistryOptions;
  #client: Promise<RegistryClient> | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  client(): Promise<RegistryClient> {
    this.#client ??= (async () => {
      const { RegistryClient } = await import('../../registry/client.ts');
      return new RegistryClient(this.#options);
    })();
    return this.#client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#client?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}
