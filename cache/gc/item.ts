import type { Digest } from '../../base/digest.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';

/** BuildKit's record types (client/diskusage.go), as far as there are such things here. */
export type ItemType = 'regular' | 'internal' | 'source.local' | 'source.git.checkout' | 'exec.cachemount';

/**
 * One thing that takes room in the store and can be removed by itself: a layer with its blobs, an image without a name, a cache mount, a
 * document nobody names, a memory of file digests. `kiln du` lists them; a policy chooses among them.
 */
export interface Item {
  readonly id: string;
  readonly type: ItemType;
  /** Ids of the items this one stands on. */
  readonly parents: readonly string[];
  readonly description: string;
  /** Bytes on disk that go when it goes. No byte is counted in two items. */
  readonly size: number;
  /** Milliseconds since 1970. An item was used no earlier than what stands on it. */
  readonly created: number;
  readonly used: number;
  /** A live process uses it. */
  readonly inUse: boolean;
  /** An image that has a name needs it. */
  readonly shared: boolean;
  /** Can change: a cache mount. */
  readonly mutable: boolean;
  /** Nothing refers to it, so every collection takes it. */
  readonly garbage: boolean;
  /** Part of the store itself: counted, never removed. */
  readonly fixed: boolean;
  readonly content: ItemContent;
}

/** What is removed with an item. */
export interface ItemContent {
  readonly layer?: LayerId;
  readonly blobs?: readonly Digest[];
  /** The key under which the image store has an image without a name. */
  readonly image?: string;
  /** Files or directories of the store, removed under `lock` when there is one. */
  readonly paths?: readonly string[];
  readonly lock?: string;
}
