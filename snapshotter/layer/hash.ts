import { createHash } from 'node:crypto';
import type { Digest } from '../../base/digest.ts';
import { type Arg, openLibrary } from '../sys/native.ts';

/**
 * The sha256 of a stream, computed on a thread of the libuv pool, so that the reader and the hash keep two cores busy: node:crypto hashes
 * a stream on the calling thread only, but Node exports the functions of the OpenSSL that it is built with. Where they are not to be
 * had (a Node built otherwise), and for a stream of one short piece, node:crypto does it.
 *
 * One piece is hashed while the next is read. `free` is told how many of the first pieces may be overwritten. `by`: another
 * hash than that of the whole.
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

/** A sha256 for pieces of about this many bytes: on a thread of the pool where that pays and can be had. */
export function openHash(pieceSize: number): StreamHash {
  return (pieceSize >= WORTH && opensslHash()) || nodeHash();
}

export interface StreamHash extends Disposable {
  /** Resolves when the piece is done with, which must stay as it is until then; undefined when it is already. One call at a time. */
  update(piece: Buffer): Promise<void> | undefined;
  digest(): Digest;
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

/** The functions of OpenSSL 3 (EVP_DigestInit(3)) that this process has in it. */
interface Openssl {
  create(): Arg;
  free(context: Arg): void;
  updateAsync(context: Arg, piece: Buffer): Promise<void>;
  /** Writes 32 bytes. */
  final(context: Arg, into: Buffer): void;
}

let bound: Openssl | null | undefined;

function opensslHash(): StreamHash | undefined {
  bound ??= bindOpenssl();
  if (bound === null) return undefined;
  const openssl = bound;
  const context = openssl.create();
  return {
    update: (piece) => openssl.updateAsync(context, piece),
    digest() {
      const out = Buffer.alloc(32);
      openssl.final(context, out);
      return `sha256:${out.toString('hex')}` as Digest;
    },
    [Symbol.dispose]: () => openssl.free(context),
  };
}

/** Null when a symbol is missing. */
function bindOpenssl(): Openssl | null {
  try {
    const self = openLibrary(null);
    if (!self) return null;
    const create = self.func('void *EVP_MD_CTX_new()');
    const free = self.func('void EVP_MD_CTX_free(void *)');
    const sha256 = self.func('void *EVP_sha256()');
    const init = self.func('int EVP_DigestInit_ex(void *, void *, void *)');
    const update = self.func('int EVP_DigestUpdate(void *, const void *, uint64_t)');
    const final = self.func('int EVP_DigestFinal_ex(void *, void *, void *)');
    return {
      create() {
        const context = create();
        succeed('EVP_DigestInit_ex', init(context, sha256(), null));
        return context;
      },
      free: (context) => void free(context),
      updateAsync: (context, piece) =>
        new Promise((resolve, reject) => {
          update.async(context, piece, piece.length, (error, result) => {
            if (error || Number(result) !== 1) reject(error ?? new Error('EVP_DigestUpdate failed'));
            else resolve();
          });
        }),
      final: (context, into) => succeed('EVP_DigestFinal_ex', final(context, into, null)),
    };
  } catch {
    return null;
  }
}

function succeed(name: string, result: unknown): void {
  if (Number(result) !== 1) throw new Error(`${name} failed`);
}
