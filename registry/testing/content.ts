import { createHash } from 'node:crypto';
import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { BlobWriter, ContentStore } from '../../snapshotter/content.ts';

/**
 * A content store in memory, for tests of code that fills or reads one. `open` counts writers that
 * were neither committed nor disposed.
 */
export interface MemoryContent extends ContentStore {
  readonly openWriters: () => number;
}

export function memoryContent(): MemoryContent {
  const blobs = new Map<Digest, Buffer>();
  let open = 0;
  const read = (digest: Digest) => {
    const bytes = blobs.get(digest);
    if (!bytes) throw new KilnError('KILN_BLOB_MISSING', `no blob ${digest}`);
    return bytes;
  };
  const writer = (): BlobWriter => {
    const chunks: Buffer[] = [];
    const hash = createHash('sha256');
    let size = 0;
    open++;
    let ended = false;
    return {
      path: '',
      get size() {
        return size;
      },
      write(bytes) {
        chunks.push(Buffer.from(bytes));
        hash.update(bytes);
        size += bytes.byteLength;
      },
      sync: async () => {},
      commit(expected) {
        const digest = `sha256:${hash.digest('hex')}` as Digest;
        if ((expected?.digest ?? digest) !== digest || (expected?.size ?? size) !== size) {
          throw new KilnError('KILN_DIGEST_MISMATCH', `${digest} is not ${expected?.digest}`);
        }
        blobs.set(digest, Buffer.concat(chunks));
        return { digest, size };
      },
      adopt() {
        throw new Error('no files here');
      },
      [Symbol.dispose]() {
        if (!ended) open--;
        ended = true;
      },
    };
  };
  return {
    size: (digest) => blobs.get(digest)?.length,
    arriving: () => undefined,
    path() {
      throw new Error('no files here');
    },
    read,
    async *open(digest, start, end) {
      yield read(digest).subarray(start, end);
    },
    async copy() {
      throw new Error('no files here');
    },
    async verify(digest) {
      read(digest);
    },
    put(bytes) {
      const digest = digestOf(bytes);
      blobs.set(digest, Buffer.from(bytes));
      return digest;
    },
    async putAll(all) {
      for (const bytes of all) blobs.set(digestOf(bytes), Buffer.from(bytes));
    },
    writer,
    remove: (digest) => void blobs.delete(digest),
    list: () => [...blobs].map(([digest, bytes]) => ({ digest, size: bytes.length })),
    openWriters: () => open,
  };
}
