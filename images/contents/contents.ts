import type { Digest } from '../../base/digest.ts';

/**
 * # What is in an image
 *
 * These are the answers about the files of an image: plain JSON, and each of bounded size, however
 * large the image is. `openContents` reads the image once; `imageContents`, `directory` and
 * `treemap` answer from it without reading again.
 *
 * Sizes are in bytes, times in milliseconds since 1970. Layers are named by their index in
 * `ImageContents.layers`, the lowest is 0. Paths and names are in the text form of
 * snapshotter/sys/name-bytes.ts: a byte that is no UTF-8 is a lone surrogate. `printableName` makes
 * well-formed text of them. Every text is hostile: it came out of an image.
 */
export interface ImageContents {
  /** The form of this document. */
  readonly version: 1;
  /** Undefined for an image without a name. */
  readonly name?: string;
  /** The digest of the manifest. */
  readonly digest: Digest;
  /** The digest of the config, which is the image's ID. */
  readonly config: Digest;
  /** Such as `linux/amd64`. */
  readonly platform: string;
  readonly created?: number;
  readonly layers: readonly LayerContents[];
  /** All lines of the history, oldest first, also those that made no layer. */
  readonly history: readonly HistoryLine[];
  /** The files of the whole image, as a container sees them. */
  readonly files: FileCounts;
  /** The bytes of all layers together: the files, and what is wasted. */
  readonly bytes: number;
  /** All layers as they are sent to a registry. Undefined when the store does not know one. */
  readonly compressed?: number;
  readonly wasted: WastedSpace;
  /**
   * As dive defines it, from 0 to 1: over all paths, the sum of the smallest size that a path has
   * in a layer, divided by the sum of all sizes that it has.
   */
  readonly efficiency: number;
  /** The directories with the most bytes in them, the largest first. */
  readonly largest: readonly SizedPath[];
}

export interface FileCounts {
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
}

export interface LayerContents {
  readonly diffId: Digest;
  /** The digest of its blob. It is the diffID for a layer that has none. */
  readonly digest: Digest;
  readonly mediaType: string;
  /** As it is sent to a registry. Undefined when the store does not know it. */
  readonly compressed?: number;
  /** As a tar without compression. Undefined when the store does not know it. */
  readonly unpacked?: number;
  /** The index in `ImageContents.history` of the line that made it. */
  readonly history?: number;
  /** The bytes of the files in this layer. */
  readonly bytes: number;
  /** Bytes of this layer that a later layer removes or replaces. */
  readonly wasted: number;
  readonly added: ChangeCount;
  /** Files that a lower layer has, too. `bytes` are those of the new files. */
  readonly changed: ChangeCount;
  /** Files of lower layers that are gone. `bytes` are those that can no longer be seen. */
  readonly removed: ChangeCount;
  /** Why its files are not known. The rest of the image is as if the layer were empty. */
  readonly unreadable?: { readonly code: string; readonly text: string };
}

/** Directories are not counted. */
export interface ChangeCount {
  readonly files: number;
  readonly bytes: number;
}

export interface HistoryLine {
  readonly created?: number;
  readonly createdBy: string;
  readonly comment?: string;
  /** The layer that it made. Undefined for one that only changed the config. */
  readonly layer?: number;
}

export interface WastedSpace {
  readonly bytes: number;
  /** The share of the bytes above the lowest layer, from 0. More than 1 is possible. */
  readonly share: number;
  /** How many paths waste bytes. */
  readonly paths: number;
  /** Those that waste most, the largest first. */
  readonly largest: readonly WastedPath[];
}

export interface WastedPath {
  readonly path: string;
  readonly bytes: number;
  /** The layers that hold the wasted bytes, the lowest first. */
  readonly layers: readonly number[];
  /** The last layer that hid some of them, and how. */
  readonly hiddenBy: number;
  readonly how: 'removed' | 'replaced';
}

export interface SizedPath {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Which tree is meant. The changes are those since the layers up to `since`; -1 stands for no
 * layer. `{ upTo: n, since: n - 1 }` is layer n upon those below it. `{}` is the whole image,
 * without changes.
 */
export interface TreeQuery {
  /** The highest layer that is seen; all by default. */
  readonly upTo?: number;
  /** `upTo` by default: then nothing is changed. */
  readonly since?: number;
}

export interface DirectoryQuery extends TreeQuery {
  /** The directory: the `id` of an entry. 0 is the root. */
  readonly id?: number;
  /** Instead of `id`: its path. '' is the root. */
  readonly path?: string;
  /** Only entries with these changes. A directory counts with what is in it. */
  readonly changes?: readonly ContentsChange[];
  /** Only entries whose name contains this text, and directories in which there are some. */
  readonly filter?: string;
  readonly sort?: 'name' | 'size';
  /** How many entries to leave out, and how many to return: at most MAX_PAGE. */
  readonly offset?: number;
  readonly limit?: number;
}

export type ContentsChange = 'added' | 'changed' | 'removed' | 'unchanged';

/** A part of the entries of one directory. */
export interface DirectoryPage {
  readonly id: number;
  readonly path: string;
  /** How many entries the directory has that the query asks for. */
  readonly total: number;
  readonly offset: number;
  readonly entries: readonly ContentsEntry[];
}

export interface ContentsEntry {
  /** Names the path in queries. It is the same in all trees of one `OpenContents`. */
  readonly id: number;
  readonly name: string;
  readonly type: ContentsKind;
  readonly change: ContentsChange;
  /** The layer that this entry comes from. For one that is removed: the layer that removed it. */
  readonly layer: number;
  /** The permission bits with setuid, setgid and sticky, without the type. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /**
   * The bytes of a file, or of all files in a directory. Those of a file with several names count
   * once. Holes of a sparse file count.
   */
  readonly size: number;
  readonly modified: number;
  /** Where a symlink points, or the path of the file that a hard link is another name of. */
  readonly target?: string;
  readonly isHardLink?: true;
  readonly device?: { readonly major: number; readonly minor: number };
  /** For a directory: how many entries it has. */
  readonly entries?: number;
}

export type ContentsKind = 'file' | 'directory' | 'symlink' | 'char' | 'block' | 'fifo';

export interface TreemapQuery extends TreeQuery {
  /** The directory at the top: the `id` of an entry. 0 is the root. */
  readonly id?: number;
  readonly path?: string;
  /** How many levels of directories; 3 by default. */
  readonly depth?: number;
  /** At most this many boxes, the largest ones; 500 by default. */
  readonly limit?: number;
}

/** A box of a treemap. */
export interface TreemapBox {
  readonly id: number;
  readonly name: string;
  readonly bytes: number;
  readonly isDirectory: boolean;
  /** The largest first. What is left of `bytes` are smaller entries. */
  readonly boxes: readonly TreemapBox[];
}

/** The most entries in one `DirectoryPage`. */
export const MAX_PAGE = 1000;
