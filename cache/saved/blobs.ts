import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bytesMismatch } from '../../base/content-mismatch.ts';
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import type { HeldLock } from '../../snapshotter/overlay/filelock.ts';
import { type CacheMountPlace, cacheMountPlaces } from '../gc/others.ts';
import { CHUNK } from './chunker.ts';
import { holdMount, saveMount } from './export.ts';
import {
  invalid,
  MAX_INDEX,
  parseSaved,
  putWhole,
  readSavedFile,
  type SavedMount,
} from './format.ts';
import type { SavedSource } from './import.ts';

/**
 * # Saved cache mounts as blobs
 *
 * What machines send each other of cache mounts. The list of mounts is that of an export
 * (format.ts). It and the chunks are blobs by their digests, as in an OCI layout, and the chunks
 * have no compression: `blobs/sha256/HEX` below a directory.
 */
interface SavedBlobs {
  /** The digest of the list. */
  readonly list: Digest;
  readonly mounts: readonly SavedMount[];
}

/** The mounts below `caches` (`caches/` of the store) that have these ids and are filled. */
export function filledMounts(caches: string, ids: ReadonlySet<string>): CacheMountPlace[] {
  return cacheMountPlaces(caches).filter(
    // Of private mounts the first copy counts.
    ({ mountId, number, data }) =>
      number === 0 && ids.has(mountId) && existsSync(join(dirname(data), 'ready')),
  );
}

/** A mount that a step is using is waited for so long, in milliseconds. */
const WAIT_MS = 5_000;

/** Saves mounts as blobs below `root`. Throws when a step goes on using one for five seconds. */
export async function saveAsBlobs(
  places: readonly CacheMountPlace[],
  root: string,
  signal: AbortSignal,
): Promise<SavedBlobs> {
  const mounts: SavedMount[] = [];
  for (const place of places) {
    using _held = await heldSoon(place, signal);
    mounts.push(saveMount(place, signal, (digest, chunk) => putBlob(root, digest, chunk)));
  }
  const bytes = Buffer.from(JSON.stringify({ version: 1, mounts }));
  const list = digestOf(bytes);
  putBlob(root, list, bytes);
  return { list, mounts };
}

async function heldSoon(place: CacheMountPlace, signal: AbortSignal): Promise<HeldLock> {
  const late = AbortSignal.timeout(WAIT_MS);
  try {
    return await holdMount(place, AbortSignal.any([signal, late]));
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error;
    throw new Error(`a step is using ${place.mountId}`);
  }
}

/**
 * The saved mounts that the blob `list` names. Nothing is believed: the list and the chunks have
 * the bytes of their digests. Throws KILN_SAVED_CACHE_INVALID.
 */
export function savedBlobs(root: string, list: Digest): SavedSource {
  const bytes = readBlob(root, list, MAX_INDEX);
  return {
    path: root,
    mounts: parseSaved(bytes, savedBlobPath(root, list)).mounts,
    chunk({ digest, size }) {
      const chunk = readBlob(root, digest, CHUNK.most);
      if (chunk.length !== size)
        throw invalid(savedBlobPath(root, digest), 'the chunk does not have its size');
      return chunk;
    },
  };
}

/** Where a blob lies. */
export function savedBlobPath(root: string, digest: Digest): string {
  return join(root, blobName(digest));
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

/** Writes a blob that is not there. Its bytes are compared with the digest when it is read. */
export function putBlob(root: string, digest: Digest, bytes: Buffer): void {
  const path = savedBlobPath(root, digest);
  if (existsSync(path)) return;
  mkdirSync(join(root, 'blobs/sha256'), { recursive: true });
  putWhole(path, bytes);
}

function readBlob(root: string, digest: Digest, most: number): Buffer {
  const path = savedBlobPath(root, digest);
  const bytes = readSavedFile(root, blobName(digest), most, 'the saved chunk');
  if (!bytes) throw invalid(path, 'a blob is missing');
  if (bytesMismatch({ digest }, bytes) !== undefined)
    throw invalid(path, 'a blob does not match its digest');
  return bytes;
}
