import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { KilnError, messageOf } from '../../base/errors.ts';
import { brokenBytes } from '../../base/promise.ts';
import { TAR_LIMITS, TarReader } from '../../snapshotter/layer/untar.ts';
import { LayerWriter, NeedsBelow } from '../../snapshotter/layer/writer.ts';
import { lockFile } from '../../snapshotter/overlay/filelock.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { removeTreeSoon } from '../../snapshotter/sys/removal.ts';
import { cacheName, describeCache, removed } from '../mounts.ts';
import { CHUNK } from './chunker.ts';
import { chunkName, chunkPath, invalid, readSaved, readSavedFile, type SavedMount } from './format.ts';

/**
 * Restores saved cache mounts in the place of those of the same id, which are waited for while a step uses them. `wanted` chooses by id. The
 * source is not trusted: every chunk is verified, its size bounded, and the archive is unpacked by descriptor, never out of its directory.
 * Answers what was restored. Throws KILN_SAVED_CACHE_INVALID.
 */
export async function importMounts(
  store: Store,
  source: string,
  wanted: (mount: SavedMount) => boolean,
  signal: AbortSignal,
): Promise<readonly SavedMount[]> {
  const saved = readSaved(source);
  if (!saved) throw invalid(source, 'there is no kiln-caches.json');
  const mounts = saved.mounts.filter(wanted);
  for (const mount of mounts) await restore(store, source, mount, signal);
  return mounts;
}

async function restore(store: Store, source: string, mount: SavedMount, signal: AbortSignal): Promise<void> {
  using scratch = store.scratch('restore');
  const data = join(scratch.path, 'data');
  mkdirSync(data);
  unpack(source, mount, data, signal);
  mkdirSync(join(scratch.path, 'ready'));
  const home = join(store.root, 'caches', cacheName(mount));
  describeCache(home, mount);
  using _held = await lockFile(join(home, '0.lock'), 'exclusive', signal);
  const place = join(home, '0');
  const trash = store.scratchPath('trash');
  if (existsSync(place)) renameSync(place, trash);
  mkdirSync(place);
  renameSync(data, join(place, 'data'));
  renameSync(join(scratch.path, 'ready'), join(place, 'ready'));
  // What cannot be removed is left to the sweep of a later start.
  await removeTreeSoon(trash);
}

function unpack(source: string, mount: SavedMount, data: string, signal: AbortSignal): void {
  using writer = new LayerWriter(data, 'plain');
  // A mount is no layer: its paths may be longer than the system takes, and the writer goes by descriptor.
  const reader = new TarReader(writer, undefined, { ...TAR_LIMITS, path: TAR_LIMITS.meta });
  try {
    for (const chunk of mount.chunks) {
      signal.throwIfAborted();
      reader.push(readChunk(source, chunk));
    }
    reader.finish();
    writer.finish();
  } catch (error) {
    if (error instanceof NeedsBelow) throw invalid(source, `${mount.id} has an entry without its directory: ${error.message}`);
    throw error;
  }
}

function readChunk(source: string, { digest, size }: SavedMount['chunks'][number]): Buffer {
  const path = chunkPath(source, digest);
  // A chunk that zstd could make no smaller has a few bytes more.
  const packed = readSavedFile(source, chunkName(digest), CHUNK.most + 4096, 'the saved chunk');
  if (packed === undefined) throw invalid(path, 'the chunk is missing');
  let bytes: Buffer;
  try {
    bytes = zstdDecompressSync(packed, { maxOutputLength: CHUNK.most });
  } catch (error) {
    throw invalid(path, `the chunk cannot be read: ${messageOf(error)}`);
  }
  if (bytes.length !== size || brokenBytes({ digest }, bytes) !== undefined)
    throw invalid(path, 'the chunk has other bytes than its name says');
  return bytes;
}

/** Removes a cache mount, waiting for whoever uses it. */
export async function removeMount(paths: readonly string[], lock: string, signal: AbortSignal): Promise<void> {
  if (!existsSync(lock)) throw new KilnError('KILN_CACHE_NOT_FOUND', 'the cache mount is gone already');
  using _held = await lockFile(lock, 'exclusive', signal);
  for (const path of paths) removed(path);
}
