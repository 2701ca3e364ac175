import type { Digest } from '../base/digest.ts';

/**
 * # Layers, snapshots and the life of a file tree
 *
 * A *layer* is one committed directory: the difference that one step made, or one unpacked image
 * layer, in the form overlayfs reads (whiteouts are 0:0 character devices, opaque directories carry
 * the overlay opaque xattr). It never changes after commit.
 *
 * A *snapshot* is a stack of layers, bottom first. It is plain data: it can be put in a cache
 * record, compared and serialised. The empty stack is `scratch`. A merge of snapshots is the
 * concatenation of their stacks.
 *
 * An *active* snapshot is a new, writable layer on top of a stack. It is mounted at `root` while it
 * lives, and ends in `commit()` (it becomes a layer) or disposal (it is gone).
 *
 *     await using active = await snapshotter.prepare(base);      // base: Snapshot
 *     ... write below active.root ...
 *     const next = await active.commit();         // next.layers = [...base.layers, newLayer]
 *
 * Mounts live in a mount namespace that belongs to this process alone, so a killed process leaves
 * none. A path in a mounted tree is hostile: open it through `sys/rooted.ts` only.
 */
export interface Snapshotter {
  /**
   * A new writable layer on top of `parent`, as a tree. Disposing it takes the tree away and,
   * unless committed, the layer.
   */
  prepare(parent: Snapshot, writer?: Writer): Promise<ActiveSnapshot>;

  /**
   * A read-only mount of `snapshot`, for reading a tree or as a bind-mount source. Views of one
   * snapshot are shared; a few that nobody uses may stay mounted for the next user.
   */
  view(snapshot: Snapshot): Promise<View>;

  /**
   * The same tree with its first `keep` layers, and one that stands for all above them; made anew
   * by each call, if there is more than one.
   */
  squash(snapshot: Snapshot, keep: number, signal: AbortSignal): Promise<Snapshot>;

  /**
   * The layer of an image as a committed layer: unpacked from `blob` if it is not in the store yet.
   * Verified against `diffId` before it becomes visible. `below` is only asked for and mounted for
   * the rare layer that cannot stand alone (a hard link into a lower layer, a parent directory it
   * does not list): all layers of an image can be unpacked at once, each with a `below` that waits
   * for those beneath it.
   */
  unpack(layer: ImageLayer, below: Snapshot | (() => Promise<Snapshot>), signal?: AbortSignal): Promise<LayerId>;

  /**
   * A layer with this diffID that stands alone, when the store has one. No I/O beyond the metadata.
   */
  find(diffId: Digest): LayerId | undefined;

  /**
   * True when every layer of the stack is in the store. A record that names a missing layer is no
   * hit.
   */
  has(snapshot: Snapshot): boolean;

  /**
   * The tar form of one layer: its diffID and size in bytes; computed once (walk, sorted PAX tar
   * through sha256) and kept with the layer. For unpacked image layers this is known from the
   * start.
   */
  describe(layer: LayerId, signal?: AbortSignal): Promise<LayerInfo>;

  /**
   * The same layer with no time after `second` (since 1970) in its tar: SOURCE_DATE_EPOCH. Another
   * id over the same files; costs nothing. A layer that came as a blob is what it is and stays so.
   */
  clamped(layer: LayerId, second: number): LayerId;

  /**
   * The directory that holds the files of a committed layer, in overlay's form; undefined when
   * there is no such layer. To be read, or linked from, and never written to. Hostile, as every
   * tree.
   */
  files(layer: LayerId): string | undefined;

  /** Marks layers as used now, for collection by last use. */
  touch(snapshot: Snapshot): void;
}

/** The name of a committed layer: lower-case letters and digits, a directory name of the store. */
export type LayerId = string & { readonly __layer: unique symbol };

/** A stack of layers, bottom first. */
export interface Snapshot {
  readonly layers: readonly LayerId[];
}

/**
 * Who writes to a tree. `anyone`: a step, which may change a file in place. `replacer`: code of
 * ours that leaves every file that is there as it is, or takes its name away and makes a new one;
 * directories it may change. For it the tree need not be copied.
 */
export type Writer = 'anyone' | 'replacer';

export const SCRATCH: Snapshot = { layers: [] };

export interface ActiveSnapshot extends AsyncDisposable {
  /** Where the tree is mounted, in the process's mount namespace. Its content is hostile. */
  readonly root: string;
  /**
   * Where what is new may be written past a mount, into directories that are new themselves: the
   * layer's own directory (overlay's upper), or `root` again where nothing is mounted.
   */
  readonly upper: string;
  /**
   * Nothing is between writers and the file system: no overlay that would refuse devices with the
   * number 0:0 and marks of its own.
   */
  readonly isPlain: boolean;
  readonly parent: Snapshot;
  /**
   * Unmounts, makes the layer durable and visible, and returns the new stack. An untouched layer
   * still counts as a (empty) layer. `copied`: it holds many files that are likely to be copied
   * again.
   */
  commit(copied?: CopiedFiles): Promise<Snapshot>;
}

/**
 * What a layer is known to hold: copies, of which those that are as they were in the layer `like`
 * are hard links to its files.
 */
export interface CopiedFiles {
  readonly like: LayerId | undefined;
}

export interface View extends AsyncDisposable {
  readonly root: string;
}

/** A layer of an image whose compressed bytes are in the content store. */
export interface ImageLayer {
  readonly diffId: Digest;
  readonly blob: Digest;
  readonly mediaType: string;
  /**
   * When the layer was made, in milliseconds since 1970, where that is known: a step from an
   * imported cache keeps its time.
   */
  readonly created?: number | undefined;
}

export interface LayerInfo {
  readonly diffId: Digest;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** True when the tar holds no entry. */
  readonly empty: boolean;
}
