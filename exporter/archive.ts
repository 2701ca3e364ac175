import { once } from 'node:events';
import { closeSync, openSync, readSync } from 'node:fs';
import type { Header, Pack } from 'tar-stream';
import { KilnError } from '../base/errors.ts';
import type { ByteSink } from './destination.ts';

/** One member of an archive of ours: a directory, bytes we hold, a file of the store, or bytes that come from elsewhere. */
export type ArchiveEntry =
  | { readonly name: string; readonly kind: 'directory' }
  | { readonly name: string; readonly kind: 'bytes'; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly name: string; readonly kind: 'file'; readonly mode: number; readonly path: string; readonly size: number }
  | {
      readonly name: string;
      readonly kind: 'stream';
      readonly mode: number;
      readonly size: number;
      readonly open: () => AsyncIterable<Uint8Array>;
    };

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
  // Loaded here: nothing but an archive needs it.
  const { pack } = await import('tar-stream');
  const archive = pack();
  // What went wrong is thrown where it is awaited, not as an event.
  archive.on('error', () => undefined);
  const sent = send(archive, sink);
  sent.catch(() => undefined);
  try {
    for (const entry of members) await add(archive, entry, written);
    archive.finalize();
  } catch (error) {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
    // When the sink failed that is the reason, and the archive's complaint only follows from it.
    await sent;
    throw error;
  }
  await sent;
}

/** Hands on what the archive gives, as fast as the sink takes it. */
async function send(archive: Pack, sink: ByteSink): Promise<void> {
  try {
    for await (const bytes of archive as AsyncIterable<Uint8Array>) await sink.write(bytes);
  } catch (error) {
    // Whoever is adding an entry must not wait for a reader that is gone.
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/** Adds one member and waits until it is taken. */
async function add(archive: Pack, entry: ArchiveEntry, written: (bytes: number) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const member = archive.entry(header(entry), (error) => (error ? reject(error) : resolve()));
  // A failed archive is told by `send`; here nothing may wait for ever.
  member.on('error', reject);
  archive.once('error', reject);
  try {
    if (entry.kind === 'bytes') member.write(entry.bytes);
    else if (entry.kind === 'file') await copyFile(entry.path, entry.size, member, written);
    else if (entry.kind === 'stream')
      for await (const bytes of entry.open()) if (!member.write(bytes)) await once(member, 'drain');
    member.end(undefined);
    await promise;
  } finally {
    archive.off('error', reject);
  }
}

export function sorted(entries: readonly ArchiveEntry[]): ArchiveEntry[] {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function header(entry: ArchiveEntry): Pick<Header, 'name' | 'type' | 'mode' | 'uid' | 'gid' | 'mtime' | 'size'> {
  const common = { name: entry.name, uid: 0, gid: 0, mtime: new Date(0) };
  if (entry.kind === 'directory') return { ...common, type: 'directory', mode: 0o755, size: 0 };
  return { ...common, type: 'file', mode: entry.mode, size: entry.kind === 'bytes' ? entry.bytes.byteLength : entry.size };
}

/** Copies exactly `size` bytes: the header has told how many there are. */
async function copyFile(
  path: string,
  size: number,
  member: ReturnType<Pack['entry']>,
  written: (bytes: number) => void,
): Promise<void> {
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
      if (!member.write(buffer.subarray(0, length))) await once(member, 'drain');
      left -= length;
      written(length);
    }
  } finally {
    closeSync(fd);
  }
}
