import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { LayerInfo } from '../snapshotter.ts';
import type { JobContext } from '../workers/job.ts';
import { type Arrival, readArriving } from './arrival.ts';
import { Expansion } from './expansion.ts';
import { openHash } from './hash.ts';
import { INFLATED_PIECE, inflate, magicOf } from './inflate.ts';
import type { MarkForm } from './marks.ts';
import { MountWriter } from './mount-writer.ts';
import type { TarEntry } from './tar.ts';
import { type TarHandler, TarReader } from './untar.ts';
import { LayerWriter, NeedsBelow } from './writer.ts';

export interface UnpackInput {
  readonly blob: string;
  readonly diffId: Digest;
  /** The empty directory of the new layer. */
  readonly files: string;
  /**
   * A mount of the layers below with `files` on top. Entries are written there, and whiteouts
   * remove files.
   */
  readonly root?: string | undefined;
  /** The blob is still being written, and these are its bytes so far. See ArrivingBlob. */
  readonly arriving?: Arrival | undefined;
  /** The form in which the layer marks what it hides; overlay's by default. */
  readonly marks?: MarkForm | undefined;
}

/**
 * Unpacks a layer's blob into a directory in overlay's form, and verifies the tar against `diffId`.
 * Returns undefined when the layer cannot stand alone and has no `root`; the caller then removes
 * what was written. Throws KILN_DIGEST_MISMATCH, KILN_LAYER_MALFORMED, KILN_LAYER_LIMIT.
 */
export async function unpackLayer(
  { blob, diffId, files, root, marks, arriving }: UnpackInput,
  { check, moved }: JobContext,
): Promise<LayerInfo | undefined> {
  using writer =
    root === undefined ? new LayerWriter(files, 'layer', marks) : new MountWriter(root);
  const counted = new Counted(writer);
  const expansion = new Expansion('a layer', moved);
  const reader = new TarReader(counted, expansion);
  using hash = openHash(INFLATED_PIECE);
  let hashing: Promise<void> | undefined;
  let size = 0;
  try {
    const open = arriving && ((piece: number) => readArriving(blob, arriving, piece, check));
    for await (const bytes of inflate(blob, magicOf(blob), expansion, open)) {
      check();
      await hashing;
      hashing = hash.update(bytes);
      size += bytes.length;
      reader.push(bytes);
    }
    reader.finish();
    await hashing;
  } catch (error) {
    // OpenSSL may still be reading a piece.
    await hashing;
    if (error instanceof NeedsBelow) return undefined;
    throw error;
  }
  writer.finish();
  const found = hash.digest();
  if (found !== diffId) {
    throw new KilnError(
      'KILN_DIGEST_MISMATCH',
      `a layer unpacks to ${found}, not to ${diffId} as its image says`,
      {
        hint: 'the image is damaged at its source: pull it again or choose another',
      },
    );
  }
  return { diffId, tarSize: size, empty: counted.entries === 0 };
}

/** Counts the entries as they pass. */
class Counted implements TarHandler {
  entries = 0;
  readonly #inner: TarHandler;

  constructor(inner: TarHandler) {
    this.#inner = inner;
  }

  entry(entry: TarEntry): void {
    this.entries++;
    this.#inner.entry(entry);
  }

  data(bytes: Buffer): void {
    this.#inner.data(bytes);
  }

  end(): void {
    this.#inner.end();
  }
}
