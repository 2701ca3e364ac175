import { join } from 'node:path';
import { type AskedCaches, CACHE_MOUNTS, CACHE_STORE } from '../../api/control/cache-mounts.ts';
import { type InnerMethods, unaryAnswer } from '../../api/grpc/inner-server.ts';
import { CacheMounts } from '../../api/proto/cachemounts.gen.ts';
import { isDigest } from '../../base/digest.ts';
import { messageOf } from '../../base/errors.ts';
import { filledMounts, saveAsBlobs, savedBlobs } from '../../cache/saved/blobs.ts';
import { restoreMount } from '../../cache/saved/import.ts';
import type { LentStore } from '../../remote/lend/lent-stores.ts';
import type { Store } from '../../snapshotter/store/root.ts';

/**
 * The cache mounts of a sub-graph: a worker that has none begins with those of this host, and this
 * host takes the worker's where it has none. Mounts that are there stay as they are.
 */
export class LentCaches {
  readonly #store: Store;
  readonly #root: string;
  readonly #asked: AskedCaches;

  /** `root` is a directory for blobs, which exists for as long as this is used. */
  constructor(ids: ReadonlySet<string>, store: Store, root: string) {
    this.#store = store;
    this.#root = root;
    const here = new Set(this.#here(ids).map(({ mountId }) => mountId));
    this.#asked = {
      has: [...ids].filter((id) => here.has(id)),
      lacks: [...ids].filter((id) => !here.has(id)),
    };
  }

  /** What the request says of them. */
  get attributes(): Readonly<Record<string, string>> {
    return { [CACHE_MOUNTS]: JSON.stringify(this.#asked) };
  }

  get store(): readonly [string, LentStore] {
    return [CACHE_STORE, { root: this.#root, isWritable: true }];
  }

  /** Saves mounts when a worker asks for them, and not before. */
  methods(signal: AbortSignal): InnerMethods {
    return new Map([
      unaryAnswer(CacheMounts.method.offer, async ({ ids }) => {
        const wanted = new Set(ids.filter((id) => this.#asked.has.includes(id)));
        return { list: (await saveAsBlobs(this.#here(wanted), this.#root, signal)).list };
      }),
    ]);
  }

  /** Takes what a worker has sent. `warn` is told when that is not usable. */
  async take(
    response: Readonly<Record<string, string>>,
    signal: AbortSignal,
    warn: (short: string) => void,
  ): Promise<void> {
    const list = response[CACHE_MOUNTS] ?? '';
    if (!isDigest(list)) return;
    try {
      const source = savedBlobs(this.#root, list);
      for (const mount of source.mounts)
        if (this.#asked.lacks.includes(mount.id))
          await restoreMount(this.#store, source, mount, signal, 'keep');
    } catch (error) {
      signal.throwIfAborted();
      warn(`the cache mounts of a worker could not be taken: ${messageOf(error)}`);
    }
  }

  #here(ids: ReadonlySet<string>) {
    return filledMounts(join(this.#store.root, 'caches'), ids);
  }
}
