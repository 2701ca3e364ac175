import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { bytesMismatch } from '../../base/content-mismatch.ts';
import { KilnError, messageOf } from '../../base/errors.ts';
import { TAR_LIMITS, TarReader } from '../../snapshotter/layer/untar.ts';
import { LayerWriter, NeedsBelow } from '../../snapshotter/layer/writer.ts';
import { lockFile } from '../../snapshotter/overlay/filelock.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { removeTreeSoon } from '../../snapshotter/sys/removal.ts';
import { cacheName, describeCache, removed } from '../mounts.ts';
import { CHUNK } from './chunker.ts';
import {
  chunkName,
  chunkPath,
  invalid,
  MAX_CHUNK_FILE,
  readSaved,
  readSavedFile,
  type SavedChunk,
  type SavedMount,
} from './format.ts';

/** Where saved mounts lie. */
export interface SavedSource {
  /** For messages. */
  readonly path: string;
  readonly mounts: readonly SavedMount[];
  /** The bytes of a chunk, verified. Throws KILN_SAVED_CACHE_INVALID. */
  readonly chunk: (chunk: SavedChunk) => Buffer;
}

/**
 * Restores the saved cache mounts in the directory `source`. Each replaces the mount of the same
 * id; when a step uses that mount, the import waits. `wanted` chooses by id. The source is not
 * trusted: every chunk is verified, its size is limited, and the archive is unpacked by descriptor
 * and never outside its directory. Returns the restored mounts. Throws KILN_SAVED_CACHE_INVALID.
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
  const chunk = (one: SavedChunk) => readChunk(source, one);
  for (const mount of mounts)
    await restoreMount(store, { path: source, mounts, chunk }, mount, signal);
  return mounts;
}

/** What happens to a mount of the same id and base that is there. */
type WhenThere = 'replace' | 'keep';

/** Restores one mount of a source. Throws KILN_SAVED_CACHE_INVALID. */
export async function restoreMount(
  store: Store,
  source: SavedSource,
  mount: SavedMount,
  signal: AbortSignal,
  whenThere: WhenThere = 'replace',
): Promise<void> {
  using scratch = store.scratch('restore');
  const data = join(scratch.path, 'data');
  mkdirSync(data);
  unpack(source, mount, data, signal);
  mkdirSync(join(scratch.path, 'ready'));
  const home = join(store.root, 'caches', cacheName(mount));
  describeCache(home, mount);
  using _held = await lockFile(join(home, '0.lock'), 'exclusive', signal);
  const place = join(home, '0');
  if (whenThere === 'keep' && existsSync(join(place, 'ready'))) return;
  const trash = store.scratchPath('trash');
  if (existsSync(place)) renameSync(place, trash);
  mkdirSync(place);
  renameSync(data, join(place, 'data'));
  renameSync(join(scratch.path, 'ready'), join(place, 'ready'));
  // Files that cannot be removed are left to the cleanup at a later start.
  await removeTreeSoon(trash);
}

function unpack(source: SavedSource, mount: SavedMount, data: string, signal: AbortSignal): void {
  using writer = new LayerWriter(data, 'plain');
  // A mount is not a layer: its paths may be longer than the system allows, and the writer works by
  // descriptor.
  const reader = new TarReader(writer, undefined, { ...TAR_LIMITS, path: TAR_LIMITS.meta });
  try {
    for (const chunk of mount.chunks) {
      signal.throwIfAborted();
      reader.push(source.chunk(chunk));
    }
    reader.finish();
    writer.finish();
  } catch (error) {
    if (error instanceof NeedsBelow)
      throw invalid(
        source.path,
        `${mount.id} has an entry without its directory: ${error.message}`,
      );
    throw error;
  }
}

function readChunk(source: string, { digest, size }: SavedChunk): Buffer {
  const path = chunkPath(source, digest);
  const packed = readSavedFile(source, chunkName(digest), MAX_CHUNK_FILE, 'the saved chunk');
  if (packed === undefined) throw invalid(path, 'the chunk is missing');
  let bytes: Buffer;
  try {
    bytes = zstdDecompressSync(packed, { maxOutputLength: CHUNK.most });
  } catch (error) {
    throw invalid(path, `the chunk cannot be read: ${messageOf(error)}`);
  }
  if (bytes.length !== size || bytesMismatch({ digest }, bytes) !== undefined)
    throw invalid(path, 'the chunk does not match its name');
  return bytes;
}

/** Removes a cache mount after waiting for its users. */
export async function removeMount(
  paths: readonly string[],
  lock: string,
  signal: AbortSignal,
): Promise<void> {
  if (!existsSync(lock))
    throw new KilnError('KILN_CACHE_NOT_FOUND', 'the cache mount no longer exists');
  using _held = await lockFile(lock, 'exclusive', signal);
  for (const path of paths) removed(path);
}
