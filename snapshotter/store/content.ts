import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  constants,
  copyFileSync,
  createReadStream,
  fdatasyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { bytesMismatch, contentMismatch } from '../../base/content-mismatch.ts';
import { datasync } from '../../base/datasync.ts';
import { asDigest, type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';
import { type ArrivingBlob, type BlobWriter, type ContentStore, GIVEN_UP } from '../content.ts';
import { openHash } from '../layer/hash.ts';
import { countGarbage } from '../sys/garbage.ts';
import { blobHold } from './leases.ts';
import { putOwn, removeOwn } from './own-file.ts';
import type { Store } from './root.ts';
import { guarded, storeError } from './store-errors.ts';

/**
 * The largest document (manifest, index, config) that is read as a whole. image-spec asks for 4
 * MiB, and some documents are larger.
 */
const MAX_DOCUMENT = 64 << 20;
/** The size of the pieces in which a blob is read. */
const PIECE = 1 << 20;

/**
 * The content store in `store.blobs`. The directory is the only source of truth: no table repeats
 * it.
 */
export function openContent(store: Store): ContentStore {
  return new BlobDirectory(store);
}

class BlobDirectory implements ContentStore {
  readonly #store: Store;
  /** Blobs that were read to the end and match their digests. */
  readonly #sound = new Set<Digest>();
  readonly #arriving = new Map<Digest, Arriving>();

  constructor(store: Store) {
    this.#store = store;
  }

  size(digest: Digest): number | undefined {
    const path = this.#file(digest);
    return this.#store.lease.claim([blobHold(digest)], 'restore', () => sizeOfFile(path));
  }

  path(digest: Digest): string {
    const path = this.#file(digest);
    if (this.size(digest) === undefined) throw missing(digest, path);
    return path;
  }

  read(digest: Digest): Buffer {
    const path = this.#file(digest);
    const size = this.size(digest);
    if (size === undefined) throw missing(digest, path);
    if (size > MAX_DOCUMENT)
      throw corrupt(digest, path, `it is ${size} bytes long, too long for a document`);
    const bytes = readFileSync(path);
    if (bytesMismatch({ digest }, bytes) !== undefined) {
      this.remove(digest);
      throw corrupt(digest, path, 'its content does not match its digest');
    }
    return bytes;
  }

  async *open(
    digest: Digest,
    start = 0,
    end = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<Uint8Array> {
    const path = this.path(digest);
    if (start === 0 && end >= (this.size(digest) ?? 0)) return yield* this.#verified(digest, path);
    if (!this.#sound.has(digest)) await this.verify(digest);
    yield* pieces(path, start, end);
  }

  async copy(digest: Digest, to: string): Promise<void> {
    copyFileSync(this.path(digest), to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    // The copy is read, not its source, because the bytes of the copy leave the store.
    for await (const _ of this.#verified(digest, to));
  }

  async verify(digest: Digest): Promise<void> {
    for await (const _ of this.#verified(digest, this.path(digest)));
    this.#sound.add(digest);
  }

  /** The bytes of the file at `path`, verified against `digest`. */
  async *#verified(digest: Digest, path: string): AsyncGenerator<Uint8Array> {
    using hash = openHash(Math.min(PIECE, this.size(digest) ?? 0));
    let hashing: Promise<void> | undefined;
    let held: Uint8Array | undefined;
    try {
      for await (const piece of pieces(path)) {
        if (held) yield held;
        await hashing;
        hashing = hash.update(piece);
        held = piece;
      }
    } finally {
      // OpenSSL may still be reading from a piece when the consumer stops.
      await hashing;
    }
    const wrong = contentMismatch({ digest }, { digest: hash.digest() });
    if (wrong !== undefined) {
      this.remove(digest);
      throw corrupt(digest, this.#file(digest), wrong);
    }
    if (held) yield held;
  }

  put(bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    if (this.#has(digest, bytes)) return digest;
    using writer = this.writer();
    writer.write(bytes);
    return writer.commit({ digest }).digest;
  }

  async putAll(all: readonly Uint8Array[]): Promise<void> {
    using scope = new DisposableStack();
    const writers = all
      .filter((bytes) => !this.#has(digestOf(bytes), bytes))
      .map((bytes) => {
        const writer = scope.use(this.writer());
        writer.write(bytes);
        return writer;
      });
    // One commit of the file system's journal (5 to 20 ms) for all of them.
    const synced = await Promise.allSettled(writers.map((writer) => writer.sync()));
    for (const result of synced) if (result.status === 'rejected') throw result.reason;
    for (const writer of writers) writer.commit();
  }

  #has(digest: Digest, bytes: Uint8Array): boolean {
    return this.size(digest) === bytes.byteLength && readFileSync(this.#file(digest)).equals(bytes);
  }

  writer(expected?: Digest): FileWriter {
    const path = this.#store.scratchPath('blob');
    const arriving = expected && this.#announce(expected, path);
    const move = (from: string, digest: Digest) =>
      this.#store.lease.claim([blobHold(digest)], 'restore', () =>
        putOwn(from, this.#file(digest)),
      );
    return new FileWriter(path, move, arriving);
  }

  #announce(digest: Digest, path: string): Arriving {
    const arriving: Arriving = new Arriving(path, () => {
      if (this.#arriving.get(digest) === arriving) this.#arriving.delete(digest);
    });
    this.#arriving.set(digest, arriving);
    return arriving;
  }

  arriving(digest: Digest): ArrivingBlob | undefined {
    return this.#arriving.get(digest);
  }

  remove(digest: Digest): void {
    removeOwn(this.#file(digest));
  }

  *list(): Iterable<{ digest: Digest; size: number }> {
    for (const name of readdirSync(this.#store.blobs)) {
      if (!/^[0-9a-f]{64}$/.test(name)) continue;
      const size = sizeOfFile(join(this.#store.blobs, name));
      if (size !== undefined) yield { digest: asDigest(`sha256:${name}`), size };
    }
  }

  #file(digest: Digest): string {
    // A digest is typed, but it may come from a manifest. Its form is checked again where it
    // becomes a path.
    return join(this.#store.blobs, hexOf(asDigest(digest)));
  }
}

/** Undefined when there is no file: also when something else is in its place. */
function sizeOfFile(path: string): number | undefined {
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() ? stat.size : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ELOOP') return undefined;
    throw error;
  }
}

async function* pieces(
  path: string,
  start = 0,
  end = Number.POSITIVE_INFINITY,
): AsyncGenerator<Buffer> {
  if (end <= start) return;
  try {
    // The stream takes a buffer of that size for each piece, however small the file.
    const highWaterMark = Math.max(1, Math.min(PIECE, end - start, sizeOfFile(path) ?? PIECE));
    yield* createReadStream(path, { start, end: end - 1, highWaterMark });
  } catch (error) {
    throw osError(error, {
      code: 'KILN_STORE_DAMAGED',
      what: `the store's file ${path} cannot be read`,
      path,
    });
  }
}

/** Lets others follow a blob that is being written. */
class Arriving implements ArrivingBlob {
  readonly path: string;
  readonly written = new BigInt64Array(new SharedArrayBuffer(8));
  readonly arrived: Promise<void>;
  readonly #end: (error?: Error) => void;

  constructor(path: string, ended: () => void) {
    this.path = path;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.arrived = promise;
    // Mostly nobody follows.
    promise.catch(() => {});
    this.#end = (error) => {
      ended();
      if (error) reject(error);
      else resolve();
    };
  }

  grew(size: number): void {
    this.#tell(BigInt(size));
  }

  complete(): void {
    this.#end();
  }

  giveUp(): void {
    this.#tell(GIVEN_UP);
    this.#end(new KilnError('KILN_BLOB_MISSING', 'a blob that was arriving was not completed'));
  }

  #tell(value: bigint): void {
    Atomics.store(this.written, 0, value);
    Atomics.notify(this.written, 0);
  }
}

class FileWriter implements BlobWriter {
  readonly path: string;
  readonly #move: (path: string, digest: Digest) => void;
  readonly #hash: Hash = createHash('sha256');
  readonly #arriving: Arriving | undefined;
  #fd: number | undefined;
  #size = 0;
  #isSynced = false;
  #done = false;

  constructor(
    path: string,
    move: (path: string, digest: Digest) => void,
    arriving: Arriving | undefined,
  ) {
    this.path = path;
    this.#move = move;
    this.#arriving = arriving;
  }

  get size(): number {
    return this.#size;
  }

  write(bytes: Uint8Array): void {
    guarded(this.path, () => {
      this.#fd ??= openSync(this.path, 'wx', 0o600);
      for (let at = 0; at < bytes.byteLength; ) at += writeSync(this.#fd, bytes, at);
    });
    this.#hash.update(bytes);
    this.#size += bytes.byteLength;
    this.#arriving?.grew(this.#size);
    countGarbage(bytes.byteLength);
    this.#isSynced = false;
  }

  async sync(): Promise<void> {
    if (this.#fd === undefined) return;
    try {
      await datasync(this.#fd);
    } catch (error) {
      guarded(this.path, () => {
        throw error;
      });
    }
    this.#isSynced = true;
  }

  commit(expected: { digest?: Digest; size?: number } = {}): { digest: Digest; size: number } {
    if (this.#size === 0) this.write(new Uint8Array());
    const digest = asDigest(`sha256:${this.#hash.digest('hex')}`);
    const size = this.#size;
    const wrong = contentMismatch(
      { digest: expected.digest ?? digest, size: expected.size },
      { digest, size },
    );
    if (wrong !== undefined) {
      this[Symbol.dispose]();
      throw new KilnError(
        'KILN_DIGEST_MISMATCH',
        `the content is not the requested one: ${wrong}`,
        {
          hint: 'the source sent damaged or wrong bytes; try again',
        },
      );
    }
    if (!this.#isSynced) guarded(this.path, () => fdatasyncSync(this.#fd as number));
    this.#close();
    this.adopt(digest);
    return { digest, size };
  }

  adopt(digest: Digest): void {
    guarded(this.path, () => this.#move(this.path, digest));
    this.#done = true;
    this.#arriving?.complete();
  }

  [Symbol.dispose](): void {
    this.#close();
    if (this.#done) return;
    this.#done = true;
    this.#arriving?.giveUp();
    try {
      rmSync(this.path, { force: true });
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw storeError(error, this.path);
    }
  }

  #close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function missing(digest: Digest, path: string): KilnError {
  return new KilnError('KILN_BLOB_MISSING', `the store has no blob ${digest}`, {
    place: { kind: 'path', path },
    hint: 'pull or load the image again',
  });
}

function corrupt(digest: Digest, path: string, why: string): KilnError {
  return new KilnError('KILN_BLOB_CORRUPT', `the blob ${digest} is damaged: ${why}`, {
    place: { kind: 'path', path },
    hint:
      'it was removed: run the command again, and pull or load the image if the ' +
      'blob is still missing',
  });
}
