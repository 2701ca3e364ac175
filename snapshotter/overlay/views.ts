import { mkdirSync, rmdirSync } from 'node:fs';
import { LRUCache } from 'lru-cache';
import type { Snapshot, View } from '../snapshotter.ts';
import type { Store } from '../store/root.ts';
import type { ScratchDir } from '../store/scratch.ts';
import { unmount } from '../sys/mount.ts';
import { mountOverlay } from '../sys/overlay.ts';
import type { LayerTable } from './layers.ts';
import { stackOf } from './stack.ts';

interface Shared {
  readonly root: string;
  users: number;
}

/**
 * Mounts that nobody uses just now and that stay for who comes next: fifty times COPY --from of one stage mount it once. Taking a mount away
 * costs 0.7 ms, and half a dozen do no harm: the layers below are held by this process until its end anyhow.
 */
const IDLE = 6;

/** The read-only mounts in use, one for each snapshot. */
export class Views {
  readonly #store: Store;
  readonly #table: LayerTable;
  readonly #shared = new Map<string, Shared>();
  readonly #idle = new LRUCache<string, Shared>({
    max: IDLE,
    dispose: (shared, key, reason) => reason !== 'delete' && this.#unmount(key, shared),
  });
  #empty: ScratchDir | undefined;

  constructor(store: Store, table: LayerTable) {
    this.#store = store;
    this.#table = table;
  }

  open(snapshot: Snapshot): View {
    const key = snapshot.layers.join(' ');
    const shared = this.#shared.get(key) ?? this.#mount(key, snapshot);
    this.#idle.delete(key);
    shared.users++;
    let open = true;
    return {
      root: shared.root,
      [Symbol.asyncDispose]: async () => {
        if (open && --shared.users === 0 && this.#shared.get(key) === shared) this.#idle.set(key, shared);
        open = false;
      },
    };
  }

  /** Unmounts everything, used or not. */
  close(): void {
    for (const [key, shared] of this.#shared) this.#unmount(key, shared);
    this.#empty?.[Symbol.dispose]();
    this.#empty = undefined;
  }

  #mount(key: string, snapshot: Snapshot): Shared {
    this.#empty ??= this.#store.scratch('empty');
    const root = this.#store.scratchPath('view');
    mkdirSync(root, { mode: 0o755 });
    try {
      mountOverlay({ lower: stackOf(this.#table, snapshot), target: root, empty: this.#empty.path });
    } catch (error) {
      rmdirSync(root);
      throw error;
    }
    const shared = { root, users: 0 };
    this.#shared.set(key, shared);
    return shared;
  }

  #unmount(key: string, shared: Shared): void {
    if (this.#shared.get(key) !== shared) return;
    this.#shared.delete(key);
    unmount(shared.root);
    rmdirSync(shared.root);
  }
}
