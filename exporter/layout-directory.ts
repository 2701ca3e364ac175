import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Digest } from '../base/digest.ts';
import { CancelledError, KilnError } from '../base/errors.ts';
import type { Descriptor } from '../base/oci.ts';
import { indexedManifests } from '../registry/layout.ts';
import { makeDirectory } from '../snapshotter/sys/makedirectory.ts';
import { type ArchiveEntry, sizeOf, sorted } from './archive.ts';
import { isBlobThere } from './blob-there.ts';
import { appear, outputError, outputFile, syncFile } from './destination.ts';
import { digestIn, layoutFrame } from './layout.ts';

const INDEX = 'index.json';
const NAME = 'io.containerd.image.name';
const REF = 'org.opencontainers.image.ref.name';

/** The source of a layout's blobs. Each blob is verified while it is copied. */
export interface BlobCopier {
  /** Writes a blob to a new file. */
  copy(digest: Digest, to: string): Promise<void>;
}

/**
 * Writes a layout into the directory `root`. An existing layout keeps its other images: a name
 * moves to the new image, blobs are only added, and `index.json` changes last.
 */
export async function writeLayoutDirectory(
  root: string,
  entries: readonly ArchiveEntry[],
  index: readonly Descriptor[],
  blobs: BlobCopier,
  signal: AbortSignal,
): Promise<void> {
  try {
    makeDirectory(root);
    const merged = mergedIndex(indexedManifests(root), index);
    const frame = layoutFrame(merged);
    const written: string[] = [];
    for (const entry of [
      ...sorted(entries).filter(({ name }) => name !== INDEX),
      ...frame.filter(({ name }) => name === INDEX),
    ]) {
      if (signal.aborted) throw new CancelledError(signal.reason);
      const path = join(root, entry.name);
      // The index comes last. What it names is on the disk before it.
      if (entry.name === INDEX)
        await Promise.all(written.map((file) => syncFile(file, outputFile(file))));
      if (await writeEntry(path, entry, blobs)) written.push(path);
      await new Promise(setImmediate);
    }
  } catch (error) {
    throw error instanceof KilnError ? error : outputError(error, root);
  }
}

function mergedIndex(old: readonly Descriptor[], added: readonly Descriptor[]): Descriptor[] {
  return [...old.filter((entry) => !added.some((other) => takesPlaceOf(other, entry))), ...added];
}

/**
 * True when both entries have the same full name; when one has no full name, the same tag; without
 * any name, the same image.
 */
function takesPlaceOf(added: Descriptor, old: Descriptor): boolean {
  const [name, tag] = [added.annotations?.[NAME], added.annotations?.[REF]];
  const [oldName, oldTag] = [old.annotations?.[NAME], old.annotations?.[REF]];
  if (oldName === undefined && oldTag === undefined) return added.digest === old.digest;
  return name !== undefined && oldName !== undefined
    ? name === oldName
    : tag !== undefined && tag === oldTag;
}

/**
 * An existing blob that matches its name is kept. Every other file appears complete, by rename, and
 * is synced later. Returns true when a file was written.
 */
async function writeEntry(path: string, entry: ArchiveEntry, blobs: BlobCopier): Promise<boolean> {
  if (entry.kind === 'directory') {
    mkdirSync(path, { recursive: true });
    return false;
  }
  if (isThere(path, entry)) return false;
  mkdirSync(dirname(path), { recursive: true });
  const make = async (temporary: string) => {
    if (entry.kind === 'bytes')
      writeFileSync(temporary, entry.bytes, { flag: 'wx', mode: entry.mode });
    else if (entry.kind === 'stream') await writeVerified(temporary, entry.mode, entry.open);
    else await blobs.copy(entry.digest, temporary);
  };
  const sync = entry.name === INDEX ? 'now' : 'later';
  await appear(path, `${path}.${process.pid}.part`, outputFile(path), make, sync);
  return true;
}

function isThere(path: string, entry: ArchiveEntry): boolean {
  const digest = digestIn(entry.name);
  return digest !== undefined && isBlobThere(path, { digest, size: sizeOf(entry) });
}

/** Wrong bytes are requested once more, from another mirror if there is one. */
async function writeVerified(
  path: string,
  mode: number,
  open: () => AsyncIterable<Uint8Array>,
): Promise<void> {
  try {
    await writeStream(path, mode, open());
  } catch (error) {
    if (!(error instanceof KilnError && error.code === 'KILN_DIGEST_MISMATCH')) throw error;
    rmSync(path, { force: true });
    await writeStream(path, mode, open());
  }
}

async function writeStream(
  path: string,
  mode: number,
  bytes: AsyncIterable<Uint8Array>,
): Promise<void> {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
  try {
    for await (const chunk of bytes)
      for (let at = 0; at < chunk.byteLength; ) at += writeSync(fd, chunk, at);
  } finally {
    closeSync(fd);
  }
}
