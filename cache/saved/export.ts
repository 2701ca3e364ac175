import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { attempt, writing } from '../../base/oserror.ts';
import { tarStream } from '../../snapshotter/layer/tarstream.ts';
import { type HeldLock, lockFile } from '../../snapshotter/overlay/filelock.ts';
import { makeDirectory } from '../../snapshotter/sys/makedirectory.ts';
import type { CacheMountPlace } from '../gc/others.ts';
import { CHUNK, Chunker } from './chunker.ts';
import {
  chunkName,
  chunkPath,
  MAX_CHUNK_FILE,
  putWhole,
  readSaved,
  readSavedFile,
  type SavedChunk,
  type SavedMount,
  writeSaved,
} from './format.ts';

export interface Exported {
  readonly mounts: number;
  /** The size of the mounts as tars, and the number of compressed bytes that were written. */
  readonly size: number;
  readonly written: number;
}

const PIECE = 1 << 20;

/**
 * Saves cache mounts below `destination`, which may hold an earlier export. Only new chunks are
 * written, and chunks that are no longer needed are removed. Waits for a mount that a step is
 * writing to.
 */
export async function exportMounts(
  places: readonly CacheMountPlace[],
  destination: string,
  signal: AbortSignal,
): Promise<Exported> {
  attempt(writing('the directory of saved caches', destination), () =>
    makeDirectory(join(destination, 'chunks')),
  );
  const before = readSaved(destination);
  const made: SavedMount[] = [];
  let written = 0;
  for (const place of places) {
    using _held = await holdMount(place, signal);
    made.push(
      saveMount(place, signal, (digest, chunk) => {
        written += writeChunk(destination, digest, chunk);
      }),
    );
  }
  const isMade = (mount: SavedMount) =>
    made.some(({ id, base }) => id === mount.id && base === mount.base);
  const mounts = [...(before?.mounts ?? []).filter((mount) => !isMade(mount)), ...made];
  writeSaved(destination, { version: 1, mounts });
  sweep(destination, mounts);
  return { mounts: made.length, size: made.reduce((sum, mount) => sum + mount.size, 0), written };
}

/** Waits until no step uses a mount, and keeps steps out until the lock is disposed. */
export async function holdMount({ item }: CacheMountPlace, signal: AbortSignal): Promise<HeldLock> {
  return await lockFile(item.content.lock!, 'exclusive', signal);
}

/** Cuts a mount that is held into chunks, each of which is given to `put`. */
export function saveMount(
  { data, mountId: id, base }: CacheMountPlace,
  signal: AbortSignal,
  put: (digest: Digest, chunk: Buffer) => void,
): SavedMount {
  const chunker = new Chunker();
  const chunks: SavedChunk[] = [];
  const keep = (chunk: Buffer) => {
    const digest = digestOf(chunk);
    chunks.push({ digest, size: chunk.length });
    put(digest, chunk);
  };
  const buffer = Buffer.allocUnsafeSlow(PIECE);
  const options = { check: () => signal.throwIfAborted(), buffer: () => buffer, plain: true };
  for (const piece of tarStream(data, options, { entries: 0, size: 0 }))
    for (const chunk of chunker.push(piece)) keep(chunk);
  for (const chunk of chunker.finish()) keep(chunk);
  const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
  return { id, base, saved: Date.now(), size, chunks };
}

/** Returns the number of bytes written: none when the chunk is there and undamaged. */
function writeChunk(destination: string, digest: Digest, chunk: Buffer): number {
  const path = chunkPath(destination, digest);
  if (isThere(destination, digest, chunk)) return 0;
  const bytes = zstdCompressSync(chunk);
  attempt(writing('the saved chunk', path), () => {
    mkdirSync(dirname(path), { recursive: true });
    putWhole(path, bytes);
  });
  return bytes.length;
}

function isThere(destination: string, digest: Digest, chunk: Buffer): boolean {
  try {
    const packed = readSavedFile(destination, chunkName(digest), MAX_CHUNK_FILE, 'the saved chunk');
    return (
      packed !== undefined &&
      zstdDecompressSync(packed, { maxOutputLength: CHUNK.most }).equals(chunk)
    );
  } catch {
    // A damaged chunk is written anew.
    return false;
  }
}

function sweep(destination: string, mounts: readonly SavedMount[]): void {
  const needed = new Set<Digest>(
    mounts.flatMap(({ chunks }) => chunks.map(({ digest }) => digest)),
  );
  const names = new Set([...needed].map((digest) => `${hexOf(digest)}.zst`));
  const chunks = join(destination, 'chunks');
  for (const directory of readdirSync(chunks)) {
    for (const name of readdirSync(join(chunks, directory))) {
      if (!names.has(name)) rmSync(join(chunks, directory, name), { force: true });
    }
  }
}
