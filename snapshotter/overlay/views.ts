import { mkdirSync, renameSync, rmdirSync } from 'node:fs';
import { LRUCache } from 'lru-cache';
import { errnoOf } from '../../base/errors.ts';
import type { Snapshot, View } from '../snapshotter.ts';
import type { Store } from '../store/root.ts';
import type { ScratchDir } from '../store/scratch.ts';
import { removeTreeSoon } from '../sys/removal.ts';
import type { LayerTable } from './layers.ts';
import { stackOf } from './stack.ts';
import type { Trees } from './trees.ts';

interface Shared {
  readonly root: string;
  users: number;
  /** Set when the tree exists; disposes of it. */
  tree: Disposable | undefined;
  readonly ready: Promise<void>;
}

/**
 * The number of unused mounts that are kept for the next user, so that fifty COPY --from of one
 * stage mount it once. Unmounting costs 0.7 ms, and half a dozen mounts do no harm until the
 * layers below may go (`rest`).
 */
const IDLE = 6;

/** The read-only trees, one for each snapshot. */
export class Views {
  readonly #store: Store;
  readonly #table: LayerTable;
  readonly #shared = new Map<string, Shared>();
  readonly #idle = new LRUCache<string, Shared>({
    max: IDLE,
    dispose: (shared, key, reason) => reason !== 'delete' && this.#unmount(key, shared),
  });
  readonly #trees: () => Trees;
  #empty: ScratchDir | undefined;

  constructor(store: Store, table: LayerTable, trees: () => Trees) {
    this.#trees = trees;
    this.#store = store;
    this.#table = table;
  }

  async open(snapshot: Snapshot): Promise<View> {
    const key = snapshot.layers.join(' ');
    const shared = this.#shared.get(key) ?? this.#make(key, snapshot);
    this.#idle.delete(key);
    shared.users++;
    await shared.ready;
    let open = true;
    return {
      root: shared.root,
      [Symbol.asyncDispose]: async () => {
        if (open && --shared.users === 0 && this.#shared.get(key) === shared)
          this.#idle.set(key, shared);
        open = false;
      },
    };
  }

  /** Unmounts what is not in use. */
  rest(): void {
    for (const [key, shared] of [...this.#idle.entries()]) {
      this.#idle.delete(key);
      this.#unmount(key, shared);
    }
  }

  /** Unmounts everything, whether used or not. */
  close(): void {
    for (const [key, shared] of this.#shared) this.#unmount(key, shared);
    this.#empty?.[Symbol.dispose]();
    this.#empty = undefined;
  }

  #make(key: string, snapshot: Snapshot): Shared {
    const lower = stackOf(this.#table, snapshot);
    this.#empty ??= this.#store.scratch('empty');
    const root = this.#store.scratchPath('view');
    const empty = this.#empty.path;
    mkdirSync(root, { mode: 0o755 });
    const make = async () => {
      try {
        shared.tree = await this.#trees().view(root, lower, empty);
      } catch (error) {
        this.#shared.delete(key);
        this.#discard(root);
        throw error;
      }
    };
    const shared: Shared = { root, users: 0, tree: undefined, ready: Promise.resolve().then(make) };
    this.#shared.set(key, shared);
    return shared;
  }

  #unmount(key: string, shared: Shared): void {
    if (this.#shared.get(key) !== shared) return;
    this.#shared.delete(key);
    shared.tree?.[Symbol.dispose]();
    this.#discard(shared.root);
  }

  /** A tree of copies is removed in the background. */
  #discard(root: string): void {
    try {
      rmdirSync(root);
    } catch (error) {
      if (errnoOf(error) !== 'ENOTEMPTY') throw error;
      const trash = this.#store.scratchPath('trash');
      renameSync(root, trash);
      void removeTreeSoon(trash, { unmounted: true });
    }
  }
}
