import { createHash, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import type { Digest } from '../../base/digest.ts';
import type { WantedForm } from '../packer.ts';
import type { LayerInfo } from '../snapshotter.ts';
import { EarlyWriteBack } from '../sys/early-write-back.ts';
import type { JobContext } from '../workers/job.ts';
import { createEncoder, type Encoder } from './encoder.ts';
import { hashPieces, openHash } from './hash.ts';
import type { ResumableHash } from './resumable.ts';
import { PIECE, type TarStats, tarStream } from './tarstream.ts';
import { Trail, type TrailFiles } from './trail.ts';

/** A layer directory (`files`); later times become `clamp`, in seconds since 1970. */
export interface DescribeInput {
  readonly files: string;
  /** See TarOptions. */
  readonly over?: string | undefined;
  readonly clamp?: number | undefined;
  /** In the form that layers for Windows have. */
  readonly windows?: boolean | undefined;
  /**
   * For a layer that may be made repeatedly: follows the trail of its older version, and leaves
   * one.
   */
  readonly trail?: TrailFiles | undefined;
}

export interface PackInput extends DescribeInput {
  /** The path of a new file. */
  readonly to: string;
  readonly wanted: WantedForm;
  /**
   * Shared memory that gets the number of bytes in the file each time it grows. Its waiters are
   * notified.
   */
  readonly written?: BigInt64Array | undefined;
}

/** A blob that was made of a layer: its digest and size in bytes. */
export interface Packed {
  readonly info: LayerInfo;
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Computes the digest and size of a layer directory's tar in one walk, without writing a byte. A
 * piece is hashed while the next is read. See README.md for numbers.
 */
export async function describeLayer(
  { files, over, clamp, windows, trail: left }: DescribeInput,
  { check, moved }: JobContext,
): Promise<LayerInfo> {
  const ring = new Ring(2, PIECE);
  const stats: TarStats = { entries: 0, size: 0 };
  const trail = left && clamp === undefined && !windows ? Trail.open(left) : undefined;
  const options = { over, clamp, windows, check, buffer: () => ring.take(), trail };
  const pieces = tarStream(files, options, stats);
  const tar = moved ? counted(pieces, moved) : pieces;
  const free = (count: number) => ring.give(count);
  const diffId = trail ? await hashAlong(trail, tar, free) : await hashPieces(tar, free);
  return { diffId, tarSize: stats.size, empty: stats.entries === 0 };
}

function* counted(pieces: Iterable<Buffer>, moved: (bytes: number) => void): Generator<Buffer> {
  for (const piece of pieces) {
    moved(piece.length);
    yield piece;
  }
}

/** Hashes pieces of which the first may be left out, because the trail knows them. */
async function hashAlong(
  trail: Trail,
  pieces: Iterable<Buffer>,
  free: (count: number) => void,
): Promise<Digest> {
  let hash: ResumableHash | undefined;
  const whole = (piece: Buffer) => {
    // The first piece shows how much the stream leaves out.
    hash ??= trail.hash(PIECE);
    return hash.update(piece)?.then(() => {
      if (piece.length === PIECE) trail.hashed(hash!);
    });
  };
  const digest = await hashPieces(pieces, free, {
    update: whole,
    digest: () => hash!.digest(),
    [Symbol.dispose]: () => undefined,
  });
  trail.save();
  return digest;
}

/** Writes the tar of a layer directory in the wanted form to the new file `to`, and syncs it. */
export async function packLayer(
  { files, over, clamp, windows, to, wanted, written: counter }: PackInput,
  { check, moved }: JobContext,
): Promise<Packed> {
  const stats: TarStats = { entries: 0, size: 0 };
  using encoder = createEncoder(wanted);
  const ring = new Ring(encoder.slots + 2, encoder.piece);
  const written = await encodeTo(
    to,
    tarStream(files, { over, clamp, windows, check, buffer: () => ring.take() }, stats),
    encoder,
    ring,
    { check, moved },
    counter,
  );
  return {
    ...written,
    info: { diffId: written.diffId, tarSize: stats.size, empty: stats.entries === 0 },
  };
}

interface Written {
  readonly diffId: Digest;
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Encodes pieces of a tar, as many at once as the encoder allows, and writes them in order. A plain
 * tar is hashed once, on another thread: nothing else keeps the second core busy.
 */
export async function encodeTo(
  to: string,
  pieces: Iterable<Buffer> | AsyncIterable<Buffer>,
  encoder: Encoder,
  ring: Pick<Ring, 'give'>,
  { check, moved }: JobContext,
  counter?: BigInt64Array,
): Promise<Written> {
  const { isPlain = false } = encoder;
  const out = new HashedFile(to, isPlain, counter);
  using tar = openHash(isPlain ? encoder.piece : 0);
  let hashing: Promise<void> | undefined;
  try {
    const waiting: Promise<Uint8Array>[] = [];
    const write = async () => out.write(await waiting.shift()!);
    let index = 0;
    for await (const piece of pieces) {
      check();
      moved?.(piece.length);
      const encoded = encoder.encode(piece, index++);
      // This prevents an unhandled rejection: a later failure is thrown where it is awaited.
      encoded.catch(() => {});
      waiting.push(encoded);
      // Hashed while the pool encodes, or while the piece is written and the next one is read.
      await hashing;
      hashing = tar.update(piece);
      if (waiting.length >= encoder.slots) await write();
      ring.give(index - Math.max(waiting.length, hashing ? 1 : 0));
    }
    while (waiting.length > 0) await write();
    out.write(encoder.finish());
    await hashing;
    const diffId = tar.digest();
    return { diffId, ...out.finish(diffId) };
  } finally {
    // OpenSSL may still be reading a piece.
    await hashing;
    await out.close();
  }
}

function digestOf(hash: Hash): Digest {
  return `sha256:${hash.digest('hex')}` as Digest;
}

/** Rotating buffers: one is filled while the others are encoded. A small layer needs only one. */
class Ring {
  readonly #buffers: Buffer[] = [];
  readonly #count: number;
  readonly #size: number;
  #taken = 0;
  #given = 0;

  constructor(count: number, size: number) {
    this.#count = count;
    this.#size = size;
  }

  take(): Buffer {
    if (this.#taken - this.#given >= this.#count) throw new Error('no buffer is free');
    return (this.#buffers[this.#taken++ % this.#count] ??= Buffer.allocUnsafeSlow(this.#size));
  }

  /** Allows the first `count` buffers ever taken to be filled again. */
  give(count: number): void {
    this.#given = count;
  }
}

class HashedFile {
  readonly #fd: number;
  /** Undefined for a plain tar, whose digest is the caller's. */
  readonly #hash: Hash | undefined;
  readonly #writeBack: EarlyWriteBack;
  readonly #counter: BigInt64Array | undefined;
  #size = 0;
  #open = true;

  constructor(path: string, isPlain: boolean, counter: BigInt64Array | undefined) {
    this.#counter = counter;
    this.#hash = isPlain ? undefined : createHash('sha256');
    this.#fd = openSync(path, 'w', 0o600);
    this.#writeBack = new EarlyWriteBack(this.#fd);
  }

  write(bytes: Uint8Array): void {
    this.#hash?.update(bytes);
    this.#size += bytes.byteLength;
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(this.#fd, bytes, at);
    this.#writeBack.wrote(bytes.byteLength);
    if (!this.#counter) return;
    Atomics.store(this.#counter, 0, BigInt(this.#size));
    Atomics.notify(this.#counter, 0);
  }

  finish(diffId: Digest): { digest: Digest; size: number } {
    fsyncSync(this.#fd);
    return { digest: this.#hash ? digestOf(this.#hash) : diffId, size: this.#size };
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#writeBack.settled();
    closeSync(this.#fd);
  }
}
