import type { Store } from '../../snapshotter/store/root.ts';
import type { ClientSession } from '../session/client-session.ts';
import { bringLayout } from '../session/content/bring-layout.ts';
import { sendLayout } from '../session/content/send-layout.ts';
import type { ClientCaches } from './cache-options.ts';

/**
 * The caches in directories of the client: brought into layouts of ours, and sent from such when
 * the build is over. Disposed, the layouts are gone. `client` throws when there is no session.
 */
export class DirectoryCaches implements ClientCaches, Disposable {
  readonly #client: () => ClientSession;
  readonly #store: Store;
  readonly #signal: AbortSignal;
  readonly #layouts = new DisposableStack();
  readonly #written: { readonly store: string; readonly root: string }[] = [];

  constructor(client: () => ClientSession, store: Store, signal: AbortSignal) {
    this.#client = client;
    this.#store = store;
    this.#signal = signal;
  }

  async bring(directory: string, digest: Parameters<typeof bringLayout>[2]): Promise<string> {
    const store = `local:${directory}`;
    const layout = await bringLayout(this.#client(), store, digest, this.#store, this.#signal);
    return this.#layouts.use(layout).path;
  }

  take(directory: string): string {
    const root = this.#layouts.use(this.#store.scratch('cache')).path;
    this.#written.push({ store: `local:${directory}`, root });
    return root;
  }

  /** Sends what was written to the layouts that were taken. */
  async send(): Promise<void> {
    for (const { store, root } of this.#written)
      await sendLayout(this.#client(), store, root, this.#signal);
  }

  [Symbol.dispose](): void {
    this.#layouts.dispose();
  }
}
