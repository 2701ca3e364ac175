import { createHash } from 'node:crypto';
import type { Digest } from '../../base/digest.ts';
import { openResumable } from './resumable.ts';
import type { StreamHash } from './streamhash.ts';

/**
 * Computes the sha256 of a stream on a thread of the libuv pool, so that the reader and the hash
 * keep two cores busy. node:crypto hashes a stream only on the calling thread, but Node exports the
 * functions of its OpenSSL (resumable.ts). Where a Node does not, and for a stream of one short
 * piece, node:crypto is used.
 *
 * One piece is hashed while the next is read. `free` is called with the number of first pieces that
 * may be overwritten. `by` replaces the hash.
 */
export async function hashPieces(
  pieces: Iterable<Buffer>,
  free: (count: number) => void,
  by?: StreamHash,
): Promise<Digest> {
  let hash = by;
  let hashing: Promise<void> | undefined;
  let count = 0;
  try {
    for (const piece of pieces) {
      await hashing;
      free(count++);
      hash ??= openHash(piece.length);
      hashing = hash.update(piece);
    }
    await hashing;
    return (hash ?? nodeHash()).digest();
  } finally {
    // OpenSSL may still be reading from a piece when the reader fails.
    await hashing;
    hash?.[Symbol.dispose]();
  }
}

/** The size of a piece, in bytes, from which using another thread pays. */
const MIN_ASYNC_BYTES = 256 << 10;

/**
 * A sha256 for pieces of about this many bytes. It runs on a thread of the pool where that pays and
 * is possible.
 */
export function openHash(pieceSize: number): StreamHash {
  return (pieceSize >= MIN_ASYNC_BYTES && openResumable()) || nodeHash();
}

function nodeHash(): StreamHash {
  const hash = createHash('sha256');
  return {
    update(piece) {
      hash.update(piece);
      return undefined;
    },
    digest: () => `sha256:${hash.digest('hex')}` as Digest,
    [Symbol.dispose]: () => undefined,
  };
}
