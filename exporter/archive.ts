import { closeSync, openSync, readSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { END_OF_ARCHIVE, encodeHeader, NO_XATTRS, padding } from '../snapshotter/layer/tar.ts';
import type { ByteSink } from './destination.ts';

/** One member of an archive of ours: a directory, bytes we hold, or a file of the store. */
export type ArchiveEntry =
  | { readonly name: string; readonly kind: 'directory' }
  | { readonly name: string; readonly kind: 'bytes'; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly name: string; readonly kind: 'file'; readonly mode: number; readonly path: string; readonly size: number };

/**
 * Writes `entries` as a tar archive, sorted by name, each once, owned by root and dated 1970: the same entries give the same bytes.
 * `progress` is told how many bytes of files have gone out, of how many.
 */
export async function writeArchive(
  entries: readonly ArchiveEntry[],
  sink: ByteSink,
  progress: (current: number, total: number) => void = () => undefined,
): Promise<void> {
  const members = sorted(entries);
  const total = members.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0);
  let current = 0;
  const written = (bytes: number) => progress((current += bytes), total);
  for (const entry of members) {
    await sink.write(header(entry));
    const size = sizeOf(entry);
    if (entry.kind === 'bytes') await sink.write(entry.bytes);
    else if (entry.kind === 'file') await copyFile(entry.path, size, sink, written);
    if (padding(size) > 0) await sink.write(Buffer.alloc(padding(size)));
  }
  await sink.write(END_OF_ARCHIVE);
}

export function sorted(entries: readonly ArchiveEntry[]): ArchiveEntry[] {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function sizeOf(entry: ArchiveEntry): number {
  if (entry.kind === 'directory') return 0;
  return entry.kind === 'bytes' ? entry.bytes.byteLength : entry.size;
}

function header(entry: ArchiveEntry): Buffer {
  return encodeHeader({
    type: entry.kind === 'directory' ? 'directory' : 'file',
    path: entry.name,
    linkPath: '',
    mode: entry.kind === 'directory' ? 0o755 : entry.mode,
    uid: 0,
    gid: 0,
    size: sizeOf(entry),
    mtime: { sec: 0, nsec: 0 },
    devMajor: 0,
    devMinor: 0,
    xattrs: NO_XATTRS,
  });
}

/** Copies exactly `size` bytes: the header has told how many there are. */
async function copyFile(path: string, size: number, sink: ByteSink, written: (bytes: number) => void): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    for (let left = size; left > 0; ) {
      // A buffer of its own for each piece: a slow sink may still hold the last one.
      const buffer = Buffer.allocUnsafe(Math.min(1 << 20, left));
      const length = readSync(fd, buffer, 0, buffer.length, null);
      if (length === 0) {
        throw new KilnError('KILN_STORE_DAMAGED', `the file ${path} ended ${left} bytes too early`, {
          place: { kind: 'path', path },
        });
      }
      await sink.write(buffer.subarray(0, length));
      left -= length;
      written(length);
    }
  } finally {
    closeSync(fd);
  }
}
