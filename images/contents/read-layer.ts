import { setImmediate } from 'node:timers/promises';
import { entryPath, whiteoutOf } from '../../snapshotter/layer/entry-path.ts';
import { Expansion } from '../../snapshotter/layer/expansion.ts';
import { inflate, magicOf } from '../../snapshotter/layer/inflate.ts';
import { type LayerSink, type Listed, listLayer } from '../../snapshotter/layer/list-layer.ts';
import type { TarEntry } from '../../snapshotter/layer/tar.ts';
import { type TarHandler, TarReader } from '../../snapshotter/layer/untar.ts';
import { S } from '../../snapshotter/sys/constants.ts';
import {
  type Facts,
  type LayeredTree,
  packedDevice,
  TOP,
  TYPE,
  type TypeNumber,
} from './layered-tree.ts';

/** Where the files of a layer are. */
export type LayerSource =
  /** Unpacked in the store (`Snapshotter.directories`). */
  | { readonly kind: 'directories'; readonly directories: readonly string[] }
  /** The path of its blob. */
  | { readonly kind: 'blob'; readonly blob: string }
  | { readonly kind: 'missing' };

/**
 * Tells `tree` what is in the layer that was begun there. `moved` is told of bytes that are read of
 * a blob. Throws KILN_LAYER_MALFORMED, KILN_LAYER_LIMIT, and errors of the system.
 */
export async function readLayer(
  tree: LayeredTree,
  source: LayerSource,
  signal: AbortSignal,
  moved?: (bytes: number) => void,
): Promise<void> {
  if (source.kind === 'directories') await readDirectories(tree, source.directories, signal);
  else if (source.kind === 'blob')
    await readBlob(new TreeHandler(tree), source.blob, signal, moved);
}

/** Reads the tar in a blob. Gives way between its pieces. */
export async function readBlob(
  handler: TarHandler,
  blob: string,
  signal: AbortSignal,
  moved?: (bytes: number) => void,
): Promise<void> {
  const expansion = new Expansion('a layer', moved);
  const reader = new TarReader(handler, expansion);
  for await (const piece of inflate(blob, magicOf(blob), expansion)) {
    signal.throwIfAborted();
    reader.push(piece);
    if (reader.ended) return;
  }
  reader.finish();
}

async function readDirectories(
  tree: LayeredTree,
  directories: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const _ of listLayer(directories, new DirectorySink(tree))) {
    await setImmediate();
    signal.throwIfAborted();
  }
}

const TYPES: ReadonlyMap<number, TypeNumber> = new Map([
  [S.IFREG, TYPE.file],
  [S.IFDIR, TYPE.directory],
  [S.IFLNK, TYPE.symlink],
  [S.IFCHR, TYPE.char],
  [S.IFBLK, TYPE.block],
  [S.IFIFO, TYPE.fifo],
]);

/** Tells a tree what is in the directory of a layer. Places are nodes. */
class DirectorySink implements LayerSink<number> {
  readonly root = TOP;
  readonly #tree: LayeredTree;
  /** The first entry of each file that may have several names, by its inode. */
  readonly #links = new Map<number, number>();

  constructor(tree: LayeredTree) {
    this.#tree = tree;
  }

  entry(parent: number, name: string, { stat, target }: Listed): number {
    const tree = this.#tree;
    const node = tree.child(parent, name);
    const type = TYPES.get(stat.mode & S.IFMT);
    // Nothing else can be in a layer.
    if (type === undefined) return node;
    const mayBeLinked = type !== TYPE.directory && stat.nlink > 1;
    const first = mayBeLinked ? this.#links.get(stat.ino) : undefined;
    if (first !== undefined) {
      tree.putLink(node, first);
      return node;
    }
    const entry = tree.put(node, {
      type,
      mode: stat.mode & 0o7777,
      uid: stat.uid,
      gid: stat.gid,
      size: type === TYPE.file ? stat.size : 0,
      modified: stat.mtime.sec,
      target:
        type === TYPE.symlink
          ? tree.names.id(target)
          : type === TYPE.char || type === TYPE.block
            ? packedDevice(stat.rdevMajor, stat.rdevMinor)
            : 0,
    });
    if (mayBeLinked) this.#links.set(stat.ino, entry);
    return node;
  }

  whiteout(parent: number, name: string): void {
    this.#tree.whiteout(this.#tree.child(parent, name));
  }

  opaque(place: number): void {
    this.#tree.opaque(place);
  }
}

/** Tells a tree what is in the tar of a layer. */
class TreeHandler implements TarHandler {
  readonly #tree: LayeredTree;
  /** The directory of the last entry: archives are written directory by directory. */
  #lastPath = '';
  #lastNode: number = TOP;

  constructor(tree: LayeredTree) {
    this.#tree = tree;
  }

  entry(entry: TarEntry): void {
    const tree = this.#tree;
    const { names, parent, name } = entryPath(entry.path);
    if (names.length === 0) {
      if (entry.type === 'directory') tree.put(TOP, factsOf(tree, entry));
      return;
    }
    const directory = this.#directory(parent, names);
    const mark = whiteoutOf(name);
    if (mark.kind === 'skip') return;
    if (mark.kind === 'opaque') return tree.opaque(directory);
    if (mark.kind === 'whiteout') return tree.whiteout(tree.child(directory, mark.name));
    const node = tree.child(directory, name);
    if (entry.type !== 'file' && entry.type !== 'hardlink') this.#forget();
    if (entry.type === 'hardlink') this.#link(node, entry);
    else tree.put(node, factsOf(tree, entry));
  }

  data(): void {}

  end(): void {}

  #directory(parent: string, names: readonly string[]): number {
    if (parent !== this.#lastPath) {
      this.#lastNode = this.#tree.directoryAt(names.slice(0, -1));
      this.#lastPath = parent;
    }
    return this.#lastNode;
  }

  /** The path of the last directory may lead elsewhere from now on. */
  #forget(): void {
    this.#lastPath = '';
    this.#lastNode = TOP;
  }

  #link(node: number, entry: TarEntry): void {
    const tree = this.#tree;
    const target = entryPath(entry.linkPath);
    const owner =
      target.names.length === 0
        ? -1
        : tree.latestOf(tree.child(tree.directoryAt(target.names.slice(0, -1)), target.name));
    if (tree.isThere(owner) && tree.typeOf(owner) !== TYPE.directory) tree.putLink(node, owner);
    // What it links to is not there. It has no bytes of its own in any case.
    else tree.put(node, { ...factsOf(tree, entry), type: TYPE.file });
  }
}

function factsOf(tree: LayeredTree, entry: TarEntry): Facts {
  const type = entry.type === 'hardlink' ? TYPE.file : TYPE[entry.type];
  return {
    type,
    // Linux knows no other for a link.
    mode: type === TYPE.symlink ? 0o777 : entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    size: type === TYPE.file ? entry.size : 0,
    modified: entry.mtime.sec,
    target:
      type === TYPE.symlink
        ? tree.names.id(entry.linkPath)
        : type === TYPE.char || type === TYPE.block
          ? packedDevice(entry.devMajor, entry.devMinor)
          : 0,
  };
}
