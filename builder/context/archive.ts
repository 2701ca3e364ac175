import { KilnError } from '../../base/errors.ts';
import type { TarEntry } from '../../snapshotter/layer/tar.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';
import { packingOf } from '../../solver/ops/file/decompress.ts';
import { unpackTo } from '../../solver/ops/file/unpack.ts';
import { ArchiveWriter } from '../../solver/ops/file/untar.ts';

/**
 * Unpacks a tar archive, compressed or not, into the empty directory `into`. No path or link in the
 * archive can lead outside that directory. Throws KILN_CONTEXT_INVALID when the archive has no
 * entry, and KILN_ARCHIVE_* when it is damaged.
 */
export async function unpackArchive(
  archive: Buffer,
  into: string,
  signal: AbortSignal,
): Promise<void> {
  if ((await unpackStream(pieces(archive), into, 'on standard input', signal)) === 0)
    throw new KilnError('KILN_CONTEXT_INVALID', 'standard input is not a tar archive', {
      hint: 'pipe a Dockerfile or a tar archive',
    });
}

/**
 * Unpacks an archive that comes in pieces, like `unpackArchive`, and answers how many entries it
 * has. `name` is where it comes from, for errors. `took` is told how much space each entry and each
 * piece of a file takes, in bytes, before it is written. What it throws ends the unpacking.
 */
export async function unpackStream(
  archive: AsyncIterable<Buffer>,
  into: string,
  name: string,
  signal: AbortSignal,
  took?: (bytes: number) => void,
): Promise<number> {
  using root = openRoot(into);
  using writer = took ? new CountedWriter(root, took) : new ArchiveWriter(root, undefined);
  const [start, whole] = await withStart(archive);
  await unpackTo(writer, whole, packingOf(start), name, signal);
  return writer.count;
}

/** The least space of an entry on a disk: its inode and its name. */
const ENTRY_BYTES = 512;

class CountedWriter extends ArchiveWriter {
  readonly #took: (bytes: number) => void;

  constructor(root: Root, took: (bytes: number) => void) {
    super(root, undefined);
    this.#took = took;
  }

  override entry(entry: TarEntry): void {
    this.#took(ENTRY_BYTES);
    super.entry(entry);
  }

  override data(bytes: Buffer): void {
    this.#took(bytes.byteLength);
    super.data(bytes);
  }
}

/** So many bytes say how an archive is compressed. */
const START = 16;

/** Reads the first bytes, and returns them with an iterable of all bytes. */
async function withStart(
  bytes: AsyncIterable<Buffer>,
): Promise<readonly [start: Buffer, whole: AsyncIterable<Buffer>]> {
  const iterator = bytes[Symbol.asyncIterator]();
  let start: Buffer = Buffer.alloc(0);
  while (start.byteLength < START) {
    const { done, value } = await iterator.next();
    if (done) break;
    start = Buffer.concat([start, value]);
  }
  const whole = async function* () {
    yield start;
    yield* { [Symbol.asyncIterator]: () => iterator };
  };
  return [start, whole()];
}

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
