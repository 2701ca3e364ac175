import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { END_OF_ARCHIVE, encodeHeader, NO_XATTRS, padding } from '../snapshotter/layer/tar.ts';
import type { ByteSink } from './destination.ts';

/** One member of an archive of ours: a directory, bytes we hold, a blob of the store, or bytes that come from elsewhere. */
export type ArchiveEntry =
  | { readonly name: string; readonly kind: 'directory' }
  | { readonly name: string; readonly kind: 'bytes'; readonly mode: number; readonly bytes: Uint8Array }
  | ({ readonly name: string; readonly mode: number; readonly size: number } & (
      | { readonly kind: 'blob'; readonly digest: Digest }
      | { readonly kind: 'stream'; readonly open: () => AsyncIterable<Uint8Array> }
    ));

/** Where the blobs of an archive come from: each is verified on its way out. */
export interface BlobSource {
  open(digest: Digest): AsyncIterable<Uint8Array>;
}

/**
 * Writes `entries` as a tar archive, sorted by name, each once, owned by root and dated 1970: the same entries give the same bytes.
 * `progress` is told how many bytes of blobs have gone out, of how many. The first error of the sink or of a source is thrown as it is.
 */
export async function writeArchive(
  entries: readonly ArchiveEntry[],
  blobs: BlobSource,
  sink: ByteSink,
  progress: (current: number, total: number) => void = () => undefined,
): Promise<void> {
  const members = sorted(entries);
  const total = members.reduce((sum, entry) => sum + (entry.kind === 'blob' ? entry.size : 0), 0);
  let current = 0;
  for (const entry of members) {
    const size = sizeOf(entry);
    await sink.write(header(entry, size));
    if (entry.kind === 'bytes') await sink.write(entry.bytes);
    else if (entry.kind !== 'directory') {
      let left = size;
      for await (const bytes of entry.kind === 'blob' ? blobs.open(entry.digest) : entry.open()) {
        // The header has told how many bytes there are.
        if ((left -= bytes.byteLength) < 0) break;
        await sink.write(bytes);
        if (entry.kind === 'blob') progress((current += bytes.byteLength), total);
      }
      if (left !== 0) throw otherSize(entry.name, size);
    }
    if (padding(size) > 0) await sink.write(Buffer.alloc(padding(size)));
  }
  await sink.write(END_OF_ARCHIVE);
}

export function sorted(entries: readonly ArchiveEntry[]): ArchiveEntry[] {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function sizeOf(entry: ArchiveEntry): number {
  return entry.kind === 'directory' ? 0 : entry.kind === 'bytes' ? entry.bytes.byteLength : entry.size;
}

function header(entry: ArchiveEntry, size: number): Buffer {
  const isDirectory = entry.kind === 'directory';
  return encodeHeader({
    type: isDirectory ? 'directory' : 'file',
    path: entry.name,
    linkPath: '',
    mode: isDirectory ? 0o755 : entry.mode,
    uid: 0,
    gid: 0,
    size,
    mtime: { sec: 0, nsec: 0 },
    devMajor: 0,
    devMinor: 0,
    xattrs: NO_XATTRS,
  });
}

function otherSize(name: string, size: number): KilnError {
  return new KilnError('KILN_BLOB_CORRUPT', `${name} does not have the ${size} bytes that its manifest says`, {
    hint: 'pull, load or build the image again',
  });
}
