import { createHash } from 'node:crypto';
import type { Digest } from '../../base/digest.ts';
import { openResumable } from './resumable.ts';
import type { StreamHash } from './streamhash.ts';

/**
 * The sha256 of a stream, computed on a thread of the libuv pool, so that the reader and the hash
 * keep two cores busy: node:crypto hashes a stream on the calling thread only, but Node exports the
 * functions of the OpenSSL that it is built with (resumable.ts). Where they are not to be had (a
 * Node built otherwise), and for a stream of one short piece, node:crypto does it.
 *
 * One piece is hashed while the next is read. `free` is told how many of the first pieces may be
 * overwritten. `by`: another hash than that of the whole.
 */
export async function hashPieces(pieces: Iterable<Buffer>, free: (count: number) => void, by?: StreamHash): Promise<Digest> {
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

/** Bytes in a piece from which a visit to another thread pays. */
const WORTH = 256 << 10;

/**
 * A sha256 for pieces of about this many bytes: on a thread of the pool where that pays and can be
 * had.
 */
export function openHash(pieceSize: number): StreamHash {
  return (pieceSize >= WORTH && openResumable()) || nodeHash();
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
