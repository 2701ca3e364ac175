import type { Digest } from '../base/digest.ts';
import type { OnMoved } from './workers/job.ts';

/**
 * # Layers, snapshots and the life of a file tree
 *
 * A *layer* is one committed directory: the difference that one step made, or one unpacked image
 * layer. It has the form that overlayfs reads (whiteouts are 0:0 character devices, opaque
 * directories carry the overlay opaque xattr). It never changes after commit.
 *
 * A *snapshot* is a stack of layers, bottom first. It is plain data: it can be put in a cache
 * record, compared and serialised. The empty stack is `scratch`. A merge of snapshots is the
 * concatenation of their stacks.
 *
 * An *active* snapshot is a new, writable layer on top of a stack. It is mounted at `root` while it
 * exists. It ends in `commit()`, which makes it a layer, or in disposal, which removes it.
 *
 *     await using active = await snapshotter.prepare(base);      // base: Snapshot
 *     ... write below active.root ...
 *     const next = await active.commit();         // next.layers = [...base.layers, newLayer]
 *
 * Mounts are in a mount namespace that belongs to this process alone, so a killed process leaves
 * none. A path in a mounted tree is hostile: open it through `sys/rooted.ts` only.
 */
export interface Snapshotter {
  /**
   * Makes a new writable layer on top of `parent`, as a tree. Disposing it removes the tree and,
   * unless committed, the layer.
   */
  prepare(parent: Snapshot, writer?: Writer): Promise<ActiveSnapshot>;

  /**
   * Makes a new version of `layer`, a step's layer that was made above `parent`: a tree that shows
   * both, in which files may be added and replaced. Committing it gives `parent` and a layer that
   * shows the files of `layer` and, in their place, the new ones (decision 064). Nothing may be
   * removed, and nothing added at a path that `parent` has: the new layer must be the same on any
   * other tree. Undefined where such a layer cannot be made; then it has to be made as a whole.
   */
  revise(parent: Snapshot, layer: LayerId): Promise<ActiveSnapshot | undefined>;

  /**
   * A read-only mount of `snapshot`, for reading a tree or as the source of a bind mount. Users of
   * one snapshot share its view. A few unused views may stay mounted for the next user.
   */
  view(snapshot: Snapshot): Promise<View>;

  /**
   * The same tree as its first `keep` layers and a single one that replaces all above them. If
   * there is more than one above, each call makes that layer again.
   */
  squash(snapshot: Snapshot, keep: number, signal: AbortSignal): Promise<Snapshot>;

  /**
   * An image's layer as a committed layer, unpacked from `blob` if it is not in the store yet. It
   * is verified against `diffId` before it becomes visible. `below` is called and mounted only for
   * a layer that cannot stand alone, which is rare (a hard link into a lower layer, a parent
   * directory that it does not list). So all layers of an image can be unpacked at once, each with
   * a `below` that waits for those beneath it.
   */
  unpack(
    layer: ImageLayer,
    below: Snapshot | (() => Promise<Snapshot>),
    signal?: AbortSignal,
  ): Promise<LayerId>;

  /**
   * The same while the blob is still being written, without waiting for the layers below. Settles
   * when the blob is there, too. Undefined when nothing came of it, for whatever reason: then
   * `unpack` does it when the blob is there, and has the error if there is one. `size` is that of
   * the whole blob.
   */
  unpackArriving(
    layer: ImageLayer,
    size: number,
    signal?: AbortSignal,
  ): Promise<LayerId | undefined>;

  /**
   * A layer that a step made on another machine, as if a step had made it here on `below`:
   * exporters pack it in the form that they want. It is verified like a layer that is unpacked.
   * When the files do not give the same tar again, it is one. Each call makes another layer.
   */
  unpackMade(layer: ImageLayer, below: Snapshot, signal: AbortSignal): Promise<LayerId>;

  /** A layer with this diffID that stands alone, if the store has one. It reads only metadata. */
  find(diffId: Digest): LayerId | undefined;

  /**
   * True when every layer of the stack is in the store. A cache record that names a missing layer
   * is not a hit.
   */
  has(snapshot: Snapshot): boolean;

  /**
   * The diffID and size of one layer's tar. They are computed once (a walk, with a sorted PAX tar
   * through sha256) and kept with the layer. For unpacked image layers they are known from the
   * start. Meanwhile `onMoved` is told how many bytes of the tar are hashed.
   */
  describe(layer: LayerId, signal?: AbortSignal, onMoved?: OnMoved): Promise<LayerInfo>;

  /**
   * The same layer with a tar of another form. It is another id over the same files and costs
   * nothing. A layer that was unpacked from a blob does not change.
   */
  packedAs(layer: LayerId, form: TarForm): LayerId;

  /**
   * The stack, to be put on other layers than those that it was made on. A layer whose directory
   * hides all below it is replaced by one that hides what the lower layers of the stack have there,
   * name by name. Most stacks do not change.
   */
  movable(snapshot: Snapshot): Promise<Snapshot>;

  /**
   * The layer as Windows shows it: if its tar has the form of Windows, the files below `Files`. It
   * is another id over the same files and costs nothing. Any other layer does not change.
   */
  windowsFiles(layer: LayerId): LayerId;

  /** True when the layer's tar has the form of Windows. */
  isForWindows(layer: LayerId): boolean;

  /**
   * The directories that hold the files of a committed layer, in overlay's form, bottom first.
   * There is one, or two for a new version of a layer. None when the layer does not exist. They may
   * be read, or linked from, but never written to. Their content is hostile, like that of every
   * tree.
   */
  directories(layer: LayerId): readonly string[];

  /** Removes a committed layer of which only the caller knows, such as that of a failed step. */
  discard(layer: LayerId): void;

  /** Marks layers as used now. Garbage collection goes by the time of last use. */
  touch(snapshot: Snapshot): void;
}

/**
 * The name of a committed layer: lower-case letters and digits, also the name of its directory in
 * the store.
 */
export type LayerId = string & { readonly __layer: unique symbol };

/** In which form the tar of a layer is. */
export interface TarForm {
  /** Later times become this many seconds since 1970: SOURCE_DATE_EPOCH. */
  readonly clamp?: number | undefined;
  /** In the form that layers for Windows have (layer/windows-form.ts). */
  readonly windows?: boolean | undefined;
}

/** A stack of layers, bottom first. */
export interface Snapshot {
  readonly layers: readonly LayerId[];
}

/**
 * Who writes to a tree. `anyone`: a step, which may change a file in place. `replacer`: Kiln's own
 * code, which never changes an existing file but may replace it by a new one, and may change
 * directories. A tree for a replacer need not be copied.
 */
export type Writer = 'anyone' | 'replacer';

export const SCRATCH: Snapshot = { layers: [] };

export interface ActiveSnapshot extends AsyncDisposable {
  /** Where the tree is mounted, in this process's mount namespace. Its content is hostile. */
  readonly root: string;
  /**
   * Where new files may be written without going through a mount, into directories that are new
   * themselves. It is the layer's own directory (overlay's upper), or `root` where nothing is
   * mounted.
   */
  readonly upper: string;
  /**
   * True when writers use the file system directly. An overlay would refuse devices with the number
   * 0:0 and its own marks.
   */
  readonly isPlain: boolean;
  readonly parent: Snapshot;
  /**
   * Unmounts, makes the layer durable and visible, and returns the new stack. An untouched layer
   * still counts as an (empty) layer. `copied` says that it holds many files that are likely to be
   * copied again.
   */
  commit(copied?: CopiedFiles): Promise<Snapshot>;
}

/**
 * The copies that a layer is known to hold. Those that are unchanged since the layer `like` are
 * hard links to its files.
 */
export interface CopiedFiles {
  readonly like: LayerId | undefined;
  /** The directories that hold nothing but such links. */
  readonly linked: readonly LinkedDirectory[];
}

/** A directory of a layer, by its path in it, and the number of the files in it. */
export interface LinkedDirectory {
  readonly path: string;
  readonly size: number;
}

export interface View extends AsyncDisposable {
  readonly root: string;
}

/** An image's layer whose compressed bytes are in the content store. */
export interface ImageLayer {
  readonly diffId: Digest;
  readonly blob: Digest;
  readonly mediaType: string;
  /**
   * When the layer was made, in milliseconds since 1970, where that is known. A step from an
   * imported cache keeps its time.
   */
  readonly created?: number | undefined;
  /** Told how many of the packed bytes are unpacked so far. */
  readonly onMoved?: OnMoved | undefined;
}

export interface LayerInfo {
  readonly diffId: Digest;
  /** The size of the uncompressed tar in bytes. */
  readonly tarSize: number;
  /** True when the tar has no entries, or only those that each layer for Windows has. */
  readonly empty: boolean;
}
