import type { Header, Pack } from 'tar-stream';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { ByteSink } from './destination.ts';

/**
 * One member of an archive that Kiln writes: a directory, bytes in memory, a blob of the store, or
 * bytes from elsewhere.
 */
export type ArchiveEntry =
  | { readonly name: string; readonly kind: 'directory' }
  | {
      readonly name: string;
      readonly kind: 'bytes';
      readonly mode: number;
      readonly bytes: Uint8Array;
    }
  | ({ readonly name: string; readonly mode: number; readonly size: number } & (
      | { readonly kind: 'blob'; readonly digest: Digest }
      | { readonly kind: 'stream'; readonly open: () => AsyncIterable<Uint8Array> }
    ));

/** The source of an archive's blobs. Each blob is verified while it is read. */
export interface BlobSource {
  open(digest: Digest): AsyncIterable<Uint8Array>;
}

/**
 * Writes `entries` as a tar archive, sorted by name, each once, owned by root and dated 1970, so
 * that the same entries give the same bytes. `progress` gets the number of blob bytes written, and
 * their total. The first error of the sink or of a source is thrown unchanged.
 */
export async function writeArchive(
  entries: readonly ArchiveEntry[],
  blobs: BlobSource,
  sink: ByteSink,
  progress: (current: number, total: number) => void = () => undefined,
): Promise<void> {
  // Loaded here because only an archive needs it.
  const { pack } = await import('tar-stream');
  const writing = new Writing(pack());
  await Promise.all([
    writing.send(sink),
    writing.addAll(sorted(entries), blobs, progress).catch((error) => writing.fail(error)),
  ]);
  if (writing.failure) throw writing.failure.error;
}

/**
 * An archive while it is written: one side adds members, the other one passes the bytes on to the
 * sink. Either side may fail. Only the first failure counts: later ones follow from it, because the
 * archive no longer exists.
 */
class Writing {
  readonly #archive: Pack;
  /** Ends the wait of the side that adds members. */
  #wake: () => void = () => undefined;
  failure: { readonly error: unknown } | undefined;

  constructor(archive: Pack) {
    this.#archive = archive.on('error', (error) => this.fail(error));
  }

  fail(error: unknown): void {
    this.failure ??= { error };
    this.#archive.destroy();
    this.#wake();
  }

  /** Passes the archive's bytes to the sink, as fast as the sink takes them. */
  async send(sink: ByteSink): Promise<void> {
    try {
      // The failure has to be known before the loop ends: its end destroys the archive.
      for await (const bytes of this.#archive as AsyncIterable<Uint8Array>)
        await sink.write(bytes).catch((error) => {
          this.fail(error);
          throw error;
        });
    } catch (error) {
      this.fail(error);
    }
  }

  /** Adds the members one after the other. Stops when the archive has failed. */
  async addAll(
    members: readonly ArchiveEntry[],
    blobs: BlobSource,
    progress: (current: number, total: number) => void,
  ): Promise<void> {
    const total = members.reduce((sum, entry) => sum + (entry.kind === 'blob' ? entry.size : 0), 0);
    let current = 0;
    for (const entry of members) {
      if (this.failure) return;
      const size = sizeOf(entry);
      const member = this.#archive.entry(header(entry, size));
      member.on('error', () => undefined);
      let left = size;
      for await (const bytes of bytesOf(entry, blobs)) {
        // The header has stated the number of bytes.
        if (this.failure || (left -= bytes.byteLength) < 0) break;
        if (!member.write(bytes)) await this.#drained(member);
        if (entry.kind === 'blob') progress((current += bytes.byteLength), total);
      }
      if (this.failure) return;
      if (left !== 0) throw otherSize(entry.name, size);
      member.end(undefined);
    }
    this.#archive.finalize();
  }

  /** Resolves when the member takes more bytes, or when the archive has failed and never will. */
  #drained(member: ReturnType<Pack['entry']>): Promise<void> {
    return new Promise((done) => {
      const resume = () => {
        member.off('drain', resume);
        done();
      };
      member.on('drain', resume);
      this.#wake = resume;
      if (this.failure) resume();
    });
  }
}

async function* bytesOf(entry: ArchiveEntry, blobs: BlobSource): AsyncGenerator<Uint8Array> {
  if (entry.kind === 'blob') yield* blobs.open(entry.digest);
  else if (entry.kind === 'stream') yield* entry.open();
  else if (entry.kind === 'bytes') yield entry.bytes;
}

export function sorted(entries: readonly ArchiveEntry[]): ArchiveEntry[] {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function sizeOf(entry: ArchiveEntry): number {
  return entry.kind === 'directory'
    ? 0
    : entry.kind === 'bytes'
      ? entry.bytes.byteLength
      : entry.size;
}

function header(
  entry: ArchiveEntry,
  size: number,
): Pick<Header, 'name' | 'type' | 'mode' | 'uid' | 'gid' | 'mtime' | 'size'> {
  const isDirectory = entry.kind === 'directory';
  const mode = isDirectory ? 0o755 : entry.mode;
  return {
    name: entry.name,
    type: isDirectory ? 'directory' : 'file',
    mode,
    uid: 0,
    gid: 0,
    mtime: new Date(0),
    size,
  };
}

function otherSize(name: string, size: number): KilnError {
  return new KilnError(
    'KILN_BLOB_CORRUPT',
    `${name} does not have the ${size} bytes that its manifest states`,
    {
      hint: 'pull, load or build the image again',
    },
  );
}
