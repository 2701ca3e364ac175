import { closeSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asDigest, type Digest, hexOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { attempt, reading, writing } from '../../base/oserror.ts';
import { NotRegular, openRegular } from '../../snapshotter/sys/regular.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import { CHUNK } from './chunker.ts';

/**
 * # Saved cache mounts (docs/saved-caches.md)
 *
 *     DEST/kiln-caches.json        the list of saved mounts
 *     DEST/chunks/AB/ABCDEF….zst   chunks by the sha256 of their bytes, each compressed by itself
 */
export interface SavedCaches {
  readonly version: 1;
  readonly mounts: readonly SavedMount[];
}

/** A saved cache mount: the chunks of its tar, in order. */
export interface SavedMount {
  readonly id: string;
  /** The identity of the tree it started with, or '' for an empty one. */
  readonly base: string;
  /** Milliseconds since 1970. */
  readonly saved: number;
  /** The size of the tar that the chunks make together. */
  readonly size: number;
  readonly chunks: readonly SavedChunk[];
}

export interface SavedChunk {
  readonly digest: Digest;
  readonly size: number;
}

/** The size of a compressed chunk. One that zstd cannot compress grows by a few bytes. */
export const MAX_CHUNK_FILE = CHUNK.most + 4096;

const INDEX = 'kiln-caches.json';
export const MAX_INDEX = 64 << 20;

export function chunkPath(destination: string, digest: Digest): string {
  return join(destination, chunkName(digest));
}

/** The path of a chunk below the destination. */
export function chunkName(digest: Digest): string {
  const hex = hexOf(digest);
  return `chunks/${hex.slice(0, 2)}/${hex}.zst`;
}

/**
 * Reads the list of saved mounts. Undefined if nothing has been saved there. All fields are
 * checked, because the file may come from anywhere. Throws KILN_SAVED_CACHE_INVALID.
 */
export function readSaved(destination: string): SavedCaches | undefined {
  const bytes = readSavedFile(destination, INDEX, MAX_INDEX, 'the index of the saved caches');
  return bytes && parseSaved(bytes, join(destination, INDEX));
}

/** Reads a list of saved mounts from `path`. Throws KILN_SAVED_CACHE_INVALID. */
export function parseSaved(bytes: Buffer, path: string): SavedCaches {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    // The message of the parser would quote the file.
    throw invalid(path, 'it is not JSON');
  }
  return checked(path, value);
}

/**
 * A file of an export. `what` names it in messages. Undefined when it does not exist. The directory
 * is not trusted: links out of it are not followed, and only regular files are read.
 */
export function readSavedFile(
  destination: string,
  name: string,
  max: number,
  what: string,
): Buffer | undefined {
  const path = join(destination, name);
  return attempt(reading(what, path), () => {
    if (!statSync(destination, { throwIfNoEntry: false })) return undefined;
    using root = openRoot(destination);
    try {
      const file = openRegular(root, name);
      if (file === undefined) return undefined;
      try {
        if (file.size > max) throw invalid(path, 'it is too long');
        return readFileSync(file.fd);
      } finally {
        closeSync(file.fd);
      }
    } catch (error) {
      throw error instanceof NotRegular ? invalid(path, error.message) : error;
    }
  });
}

/** Writes the list of saved mounts. */
export function writeSaved(destination: string, saved: SavedCaches): void {
  const path = join(destination, INDEX);
  const text = `${JSON.stringify(saved, undefined, 1)}\n`;
  attempt(writing('the index of the saved caches', path), () => putWhole(path, text));
}

/** Writes a file that is either complete or absent. */
export function putWhole(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, content);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** The KILN_SAVED_CACHE_INVALID error for the file at `path`. */
export function invalid(path: string, why: string): KilnError {
  return new KilnError('KILN_SAVED_CACHE_INVALID', `the saved cache is damaged: ${why}`, {
    place: { kind: 'path', path },
    hint: "save it again with 'kiln cache export'",
  });
}

function checked(path: string, value: unknown): SavedCaches {
  if (!isObject(value) || value['version'] !== 1 || !Array.isArray(value['mounts']))
    throw invalid(path, 'its format is not known to this version of kiln');
  return { version: 1, mounts: value['mounts'].map((mount) => checkedMount(path, mount)) };
}

function checkedMount(path: string, value: unknown): SavedMount {
  if (!isObject(value) || !Array.isArray(value['chunks']))
    throw invalid(path, 'a mount is malformed');
  const { id, base, saved, size } = value;
  if (
    typeof id !== 'string' ||
    typeof base !== 'string' ||
    typeof saved !== 'number' ||
    typeof size !== 'number'
  )
    throw invalid(path, 'a mount is malformed');
  const chunks = value['chunks'].map((chunk): SavedChunk => {
    if (!isObject(chunk)) throw invalid(path, 'a chunk is malformed');
    const { digest, size: bytes } = chunk;
    if (typeof digest !== 'string' || !isDigest(digest))
      throw invalid(path, 'a chunk has no digest');
    if (typeof bytes !== 'number' || !Number.isInteger(bytes) || bytes < 1 || bytes > CHUNK.most)
      throw invalid(path, 'a chunk has an impossible size');
    return { digest: asDigest(digest), size: bytes };
  });
  if (chunks.reduce((sum, chunk) => sum + chunk.size, 0) !== size)
    throw invalid(path, 'sizes do not add up');
  return { id, base, saved, size, chunks };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
