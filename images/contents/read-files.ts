import { closeSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { errnoOf } from '../../base/errors.ts';
import { entryPath } from '../../snapshotter/layer/entry-path.ts';
import type { TarEntry } from '../../snapshotter/layer/tar.ts';
import type { TarHandler } from '../../snapshotter/layer/untar.ts';
import { fstat } from '../../snapshotter/sys/calls.ts';
import { O, S } from '../../snapshotter/sys/constants.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { OpenContents } from './open-contents.ts';
import { readBlob } from './read-layer.ts';

/** Receives the content of files, one after the other. */
export interface FileReader {
  begin(entry: number): void;
  /** The bytes are only valid during the call. */
  data(entry: number, bytes: Buffer): void;
  /** The file is complete. It is not called for one that cannot be read. */
  end(entry: number): void;
}

const PIECE = 1 << 20;

/**
 * Reads the content of the files that `entries` stand for: entries of `contents.tree` that have
 * bytes of their own. Each layer is read once. A file that is not there any more, or whose layer
 * cannot be read, is left out.
 */
export async function readFiles(
  contents: Pick<OpenContents, 'tree' | 'sources'>,
  entries: Iterable<number>,
  reader: FileReader,
  signal: AbortSignal,
): Promise<void> {
  const { tree, sources } = contents;
  const byLayer = new Map<number, number[]>();
  for (const entry of entries) {
    const layer = tree.layerOf(entry);
    const known = byLayer.get(layer);
    if (known) known.push(entry);
    else byLayer.set(layer, [entry]);
  }
  for (const [layer, wanted] of byLayer) {
    const source = sources[layer];
    const paths = new Map(wanted.map((entry) => [tree.pathOf(tree.nodeOf(entry)), entry]));
    if (source?.kind === 'directories')
      await readUnpacked(source.directories, paths, reader, signal);
    else if (source?.kind === 'blob') {
      try {
        await readBlob(new WantedFiles(paths, reader), source.blob, signal);
      } catch {
        // Told when the layer was read first, or damaged since.
        signal.throwIfAborted();
      }
    }
  }
}

async function readUnpacked(
  directories: readonly string[],
  paths: ReadonlyMap<string, number>,
  reader: FileReader,
  signal: AbortSignal,
): Promise<void> {
  using held = new DisposableStack();
  // A file is in the uppermost directory that has it.
  const roots = directories.map((path) => held.use(openRoot(path))).reverse();
  const buffer = Buffer.allocUnsafe(PIECE);
  for (const [path, entry] of paths) {
    for (const root of roots) {
      const fd = opened(() => root.open(path, O.RDONLY, { follow: false, noLinks: true }));
      if (fd === undefined) continue;
      try {
        if ((fstat(fd).mode & S.IFMT) !== S.IFREG) continue;
        reader.begin(entry);
        for (;;) {
          const count = readSync(fd, buffer);
          if (count === 0) break;
          reader.data(entry, buffer.subarray(0, count));
          await setImmediate();
          signal.throwIfAborted();
        }
        reader.end(entry);
      } finally {
        closeSync(fd);
      }
      break;
    }
  }
}

function opened(open: () => number): number | undefined {
  try {
    return open();
  } catch (error) {
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}

/** Passes on the content of some files of a tar. */
class WantedFiles implements TarHandler {
  readonly #paths: ReadonlyMap<string, number>;
  readonly #reader: FileReader;
  #entry: number | undefined;

  constructor(paths: ReadonlyMap<string, number>, reader: FileReader) {
    this.#paths = paths;
    this.#reader = reader;
  }

  entry({ type, path }: TarEntry): void {
    this.#entry = type === 'file' ? this.#paths.get(entryPath(path).names.join('/')) : undefined;
    if (this.#entry !== undefined) this.#reader.begin(this.#entry);
  }

  data(bytes: Buffer): void {
    if (this.#entry !== undefined) this.#reader.data(this.#entry, bytes);
  }

  end(): void {
    if (this.#entry !== undefined) this.#reader.end(this.#entry);
    this.#entry = undefined;
  }
}

/** Reads whole files of up to `limit` bytes each. Those that are longer are left out. */
export async function readWhole(
  contents: Pick<OpenContents, 'tree' | 'sources'>,
  entries: Iterable<number>,
  limit: number,
  use: (entry: number, bytes: Buffer) => void,
  signal: AbortSignal,
): Promise<void> {
  const { tree } = contents;
  let pieces: Buffer[] = [];
  let size = 0;
  const small = [...entries].filter((entry) => tree.sizeOf(entry) <= limit);
  const reader: FileReader = {
    begin() {
      pieces = [];
      size = 0;
    },
    data(_, bytes) {
      size += bytes.length;
      if (size <= limit) pieces.push(Buffer.from(bytes));
    },
    end(entry) {
      if (size <= limit) use(entry, Buffer.concat(pieces));
    },
  };
  await readFiles(contents, small, reader, signal);
}
