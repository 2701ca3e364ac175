import { createHash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { KilnError } from '../../../base/errors.ts';
import { digestWithXattrs } from '../../../cache/contenthash/filehash.ts';
import { contentXattrs } from '../../../cache/contenthash/xattrs.ts';
import { contextChanged, stillThere, unreadable } from '../../../cache/select/changed.ts';
import { fileIdentity, sameIdentity } from '../../../cache/select/entry.ts';
import { OpenDirectory } from '../../../cache/select/opendir.ts';
import { Expansion } from '../../../snapshotter/layer/expansion.ts';
import { refuseReserved } from '../../../snapshotter/layer/reserved.ts';
import { TarReader } from '../../../snapshotter/layer/untar.ts';
import { fstat } from '../../../snapshotter/sys/calls.ts';
import { O } from '../../../snapshotter/sys/constants.ts';
import { type Root, rootAt } from '../../../snapshotter/sys/rooted.ts';
import type { Overrides } from './attributes.ts';
import { decompress, type Packing, packingOf } from './decompress.ts';
import { makeParents } from './destination.ts';
import type { FileStep } from './steps.ts';
import { ArchiveWriter } from './untar.ts';

/**
 * Unpacks a source of ADD into the directory `dest` if it is a tar archive, compressed or not.
 * Returns false without a change if it is not: an archive is a file that begins with a valid tar
 * header, whatever its name. Rejects with the errors of `unpackTo`, with KILN_TOOL_MISSING,
 * KILN_CONTEXT_CHANGED, KILN_LAYER_NAME or KILN_NOT_A_DIRECTORY.
 */
export async function tryUnpack(
  from: Root,
  to: Root,
  step: FileStep,
  dest: string,
  overrides: Overrides,
  signal: AbortSignal,
): Promise<boolean> {
  using source = new SourceFile(from, step);
  const packing = await archivePacking(source, signal);
  if (packing === undefined) return false;
  // As in Docker, `--chmod` does not apply to this directory.
  makeParents(to, dest, { ...overrides, mode: undefined });
  using inside = rootAt(to.open(dest, O.PATH | O.DIRECTORY));
  using writer = new ArchiveWriter(inside, overrides.owner, (path) =>
    refuseReserved(joined(dest, path)),
  );
  await unpackTo(writer, source.bytes(), packing, step.path, signal);
  source.verify();
  return true;
}

function joined(directory: string, path: string): string {
  return `${directory.replace(/\/+$/, '')}/${path}`;
}

/**
 * Decompresses an archive and passes it to `writer`. Rejects with KILN_ARCHIVE_DAMAGED, which names
 * `name`, or with KILN_LAYER_LIMIT for an archive that expands without limit.
 */
export async function unpackTo(
  writer: ArchiveWriter,
  bytes: AsyncIterable<Buffer>,
  packing: Packing,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const expansion = new Expansion(`the archive ${name}`);
  const reader = new TarReader(writer, expansion);
  try {
    for await (const piece of decompress(bytes, packing, expansion, signal)) {
      signal.throwIfAborted();
      reader.push(piece);
    }
    reader.finish();
    writer.finish();
  } catch (error) {
    if (!(error instanceof KilnError) || error.code !== 'KILN_LAYER_MALFORMED') throw error;
    const { message, hint, cause } = error;
    throw new KilnError(
      'KILN_ARCHIVE_DAMAGED',
      message.replace(/^the archive\b/, `the archive ${name}`),
      { hint, cause },
    );
  }
}

/** How an archive is compressed. Undefined if the file is not an archive. */
async function archivePacking(
  source: SourceFile,
  signal: AbortSignal,
): Promise<Packing | undefined> {
  const packing = packingOf(source.start());
  let entries = 0;
  const reader = new TarReader({ entry: () => void entries++, data: () => {}, end: () => {} });
  try {
    for await (const bytes of decompress(
      source.bytes(),
      packing,
      new Expansion('an archive'),
      signal,
    )) {
      reader.push(bytes);
      if (entries > 0 || reader.ended) break;
    }
  } catch (error) {
    // Only a missing program is reported here. An error before the first entry means that the file
    // is not an archive; a later one is reported by the unpacking.
    if (error instanceof KilnError && error.code === 'KILN_TOOL_MISSING') throw error;
    signal.throwIfAborted();
  }
  return entries > 0 ? packing : undefined;
}

const CHUNK = 1 << 18;

/** A source file that is read once or several times. `verify` checks that it is what was hashed. */
class SourceFile implements Disposable {
  readonly #fd: number;
  readonly #step: FileStep;

  constructor(from: Root, step: FileStep) {
    using directory = new OpenDirectory(from);
    this.#step = step;
    try {
      this.#fd = directory.open(step.path, O.RDONLY);
    } catch (error) {
      throw unreadable(step.path, error);
    }
  }

  start(): Uint8Array {
    const bytes = Buffer.alloc(16);
    return bytes.subarray(
      0,
      stillThere(this.#step.path, () => readSync(this.#fd, bytes, 0, 16, 0)),
    );
  }

  *read(): Generator<Buffer> {
    for (let at = 0; at < this.#step.size; ) {
      const bytes = Buffer.allocUnsafe(CHUNK);
      const count = stillThere(this.#step.path, () => readSync(this.#fd, bytes, 0, CHUNK, at));
      if (count === 0) return;
      at += count;
      yield bytes.subarray(0, count);
    }
  }

  async *bytes(): AsyncGenerator<Buffer> {
    yield* this.read();
  }

  /**
   * Throws KILN_CONTEXT_CHANGED if the file is not what was hashed. If the time stamp does not
   * prove that, the bytes are read again (from the page cache).
   */
  verify(): void {
    const { expected, hasXattrs, path } = this.#step;
    if (expected) {
      const hash = createHash('sha256');
      for (const bytes of this.read()) hash.update(bytes);
      const xattrs = hasXattrs ? contentXattrs(this.#fd) : undefined;
      const content = hash.digest();
      if (Buffer.compare(xattrs ? digestWithXattrs(content, xattrs) : content, expected) !== 0)
        throw contextChanged(path);
    }
    if (!sameIdentity(fileIdentity(fstat(this.#fd)), this.#step)) throw contextChanged(path);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
