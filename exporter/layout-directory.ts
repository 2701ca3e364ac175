import { constants, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { CancelledError, errnoOf, KilnError } from '../base/errors.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import { parseDocument } from '../registry/documents.ts';
import { type ArchiveEntry, sorted } from './archive.ts';
import { outputError } from './destination.ts';
import { layoutFrame } from './layout.ts';

const NAME = 'io.containerd.image.name';

/**
 * Writes a layout into `directory`. A layout that is there already keeps its other images: a name moves, blobs are only added, and
 * `index.json` changes last.
 */
export async function writeLayoutDirectory(
  directory: string,
  entries: readonly ArchiveEntry[],
  index: readonly Descriptor[],
  signal: AbortSignal,
): Promise<void> {
  const root = resolve(directory);
  try {
    mkdirSync(root, { recursive: true });
    const merged = mergedIndex(readIndex(join(root, 'index.json')), index);
    const frame = layoutFrame(merged);
    for (const entry of [
      ...sorted(entries).filter(({ name }) => name !== 'index.json'),
      ...frame.filter(({ name }) => name === 'index.json'),
    ]) {
      if (signal.aborted) throw new CancelledError(signal.reason);
      writeEntry(join(root, entry.name), entry);
      await new Promise(setImmediate);
    }
  } catch (error) {
    throw error instanceof KilnError ? error : outputError(error, root);
  }
}

function mergedIndex(old: readonly Descriptor[], added: readonly Descriptor[]): Descriptor[] {
  const names = new Set(added.map((descriptor) => descriptor.annotations?.[NAME]));
  const digests = new Set(added.map((descriptor) => descriptor.digest));
  const kept = old.filter((descriptor) => {
    const name = descriptor.annotations?.[NAME];
    return name === undefined ? !digests.has(descriptor.digest) : !names.has(name);
  });
  return [...kept, ...added];
}

function readIndex(path: string): readonly Descriptor[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
  const document = parseDocument(bytes, MEDIA.ociIndex, path);
  if (document.kind === 'index') return document.index.manifests;
  throw new KilnError('KILN_OUTPUT_INVALID', `${path} is no index of an OCI layout`, {
    place: { kind: 'path', path },
    hint: 'choose an empty directory with dest=',
  });
}

/** Blobs that are there with the right length stay; everything else appears whole, by rename. */
function writeEntry(path: string, entry: ArchiveEntry): void {
  if (entry.kind === 'directory') {
    mkdirSync(path, { recursive: true });
    return;
  }
  const size = entry.kind === 'bytes' ? entry.bytes.byteLength : entry.size;
  const isBlob = entry.name.startsWith('blobs/');
  if (isBlob && statSync(path, { throwIfNoEntry: false })?.size === size) return;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.part`;
  rmSync(temporary, { force: true });
  try {
    if (entry.kind === 'bytes') writeFileSync(temporary, entry.bytes, { flag: 'wx', mode: entry.mode });
    else copyFileSync(entry.path, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
