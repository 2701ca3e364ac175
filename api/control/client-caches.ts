import { Code, ConnectError } from '@connectrpc/connect';
import { messageOf } from '../../base/errors.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import type { ClientSession } from '../session/client-session.ts';
import { bringLayout } from '../session/content/bring-layout.ts';
import { STORE_ID } from '../session/content/client-store.ts';
import { sendLayout } from '../session/content/send-layout.ts';
import type { ClientCaches } from './cache-options.ts';

/**
 * Copies caches between directories of the client and OCI layouts on this host: into a layout
 * before the build, and from a layout after it. Disposing removes the layouts. `client` throws when
 * there is no session.
 */
export class DirectoryCaches implements ClientCaches, Disposable {
  readonly #client: () => ClientSession;
  readonly #store: Store;
  readonly #signal: AbortSignal;
  readonly #layouts = new DisposableStack();
  readonly #warn: (sentence: string) => void;
  readonly #written: TakenLayout[] = [];

  constructor(
    client: () => ClientSession,
    store: Store,
    signal: AbortSignal,
    warn: (sentence: string) => void,
  ) {
    this.#client = client;
    this.#store = store;
    this.#signal = signal;
    this.#warn = warn;
  }

  async bring(directory: string, digest: Parameters<typeof bringLayout>[2]): Promise<string> {
    const store = `local:${directory}`;
    const layout = await bringLayout(this.#client(), store, digest, this.#store, this.#signal);
    return this.#layouts.use(layout).path;
  }

  take(directory: string, mayFail = false): string {
    const root = this.#layouts.use(this.#store.scratch('cache')).path;
    this.#written.push({ store: `local:${directory}`, root, mayFail });
    return root;
  }

  /** Sends what was written to the layouts that were taken. */
  async send(): Promise<void> {
    for (const { store, root, mayFail } of this.#written)
      try {
        requirePrintable(store);
        await sendLayout(this.#client(), store, root, this.#signal);
      } catch (error) {
        if (!mayFail || this.#signal.aborted) throw error;
        this.#warn(`the cache was not exported to the client: ${messageOf(error)}`);
      }
  }

  [Symbol.dispose](): void {
    this.#layouts.dispose();
  }
}

interface TakenLayout {
  readonly store: string;
  readonly root: string;
  /** True when an error is only a warning (`ignore-error=true`). */
  readonly mayFail: boolean;
}

/** Throws a ConnectError for a name that the header of a call cannot carry. */
function requirePrintable(store: string): void {
  if (/^[ -~]*$/.test(store)) return;
  throw new ConnectError(
    `header key ${JSON.stringify(STORE_ID)} contains value with non-printable ASCII characters`,
    Code.Internal,
  );
}
