import type { Digest } from '../../base/digest.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';

/** BuildKit's record types (client/diskusage.go), as far as Kiln has them. */
export type ItemType =
  | 'regular'
  | 'internal'
  | 'source.local'
  | 'source.git.checkout'
  | 'exec.cachemount';

/**
 * One thing that takes space in the store and can be removed by itself: a layer with its blobs, an
 * image without a name, a cache mount, a document that nothing names, or a cache of file digests.
 * `kiln du` lists the items, and a policy chooses among them.
 */
export interface Item {
  readonly id: string;
  readonly type: ItemType;
  /** The ids of the items that this one depends on. */
  readonly parents: readonly string[];
  readonly description: string;
  /** The bytes on disk that are freed when it is removed. No byte is counted in two items. */
  readonly size: number;
  /**
   * In milliseconds since 1970. An item counts as used no earlier than the items that depend on it.
   */
  readonly created: number;
  readonly used: number;
  /** True while a running process uses it. */
  readonly inUse: boolean;
  /** True when a named image needs it. */
  readonly shared: boolean;
  /** True when its content can change, as in a cache mount. */
  readonly mutable: boolean;
  /**
   * True when nothing refers to it, or a later build has replaced it, so that every collection
   * removes it.
   */
  readonly garbage: boolean;
  /** True for a part of the store itself, which is counted but never removed. */
  readonly fixed: boolean;
  readonly content: ItemContent;
}

/** The content that is removed with an item. */
export interface ItemContent {
  readonly layer?: LayerId;
  readonly blobs?: readonly Digest[];
  /** The key under which the image store has an image without a name. */
  readonly image?: string;
  /** Files or directories of the store. They are removed under `lock`, when there is one. */
  readonly paths?: readonly string[];
  readonly lock?: string;
}

/** True for what an image of the store needs, and false for the build cache. */
export function isOfImage({ shared, content }: Item): boolean {
  return shared || content.image !== undefined;
}
