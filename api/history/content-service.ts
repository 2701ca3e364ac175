import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { instant } from '../control/instant.ts';
import type { Content, InfoSchema } from '../proto/content.gen.ts';
import type { BuildHistory, HistoryBlob } from './build-history.ts';
import { contentFilter } from './content-filter.ts';

/** A message carries so many bytes. */
const CHUNK = 1 << 20;
/** A message names so many blobs. */
const TOGETHER = 100;

/**
 * # Content: the blobs that records of the history name, to be read
 *
 * What builds told, their errors, traces and attestations, and the documents of images. Nothing
 * else of the store can be read: a client that knows a digest need not be allowed to have the blob.
 */
export function contentService(history: BuildHistory): ServiceImpl<typeof Content> {
  return {
    async info({ digest }) {
      using file = open(history, digest);
      return { info: infoMessage({ digest, size: file.size, created: file.created }) };
    },

    async *list({ filters }) {
      const matches = contentFilter(filters);
      const found = history.blobs().filter((blob) => matches(blob));
      for (let at = 0; at < found.length; at += TOGETHER)
        yield { info: found.slice(at, at + TOGETHER).map(infoMessage) };
    },

    async *read({ digest, offset, size }) {
      using file = open(history, digest);
      const start = Number(offset);
      if (start < 0 || start > file.size || size < 0n)
        throw new ConnectError(
          `read outside object length ${file.size} bytes: out of range`,
          Code.OutOfRange,
        );
      const end = size > 0n ? Math.min(file.size, start + Number(size)) : file.size;
      for (let at = start; at < end; ) {
        const data = file.read(at, Math.min(CHUNK, end - at));
        if (data.byteLength === 0) return;
        yield { offset: BigInt(at), data };
        at += data.byteLength;
      }
    },

    async status({ ref }) {
      throw new ConnectError(`ingest ref ${JSON.stringify(ref)}: not found`, Code.NotFound);
    },

    async listStatuses() {
      return {};
    },

    async update() {
      throw readOnly();
    },

    async delete() {
      throw readOnly();
    },

    async abort() {
      throw readOnly();
    },

    // biome-ignore lint/correctness/useYield: a stream that is refused.
    async *write() {
      throw readOnly();
    },
  };
}

function readOnly(): ConnectError {
  return new ConnectError('read-only content store', Code.Unknown);
}

function infoMessage({
  digest,
  size,
  created,
}: Pick<HistoryBlob, 'size' | 'created'> & { readonly digest: string }): MessageInitShape<
  typeof InfoSchema
> {
  const time = instant(created);
  return { digest, size: BigInt(size), createdAt: time, updatedAt: time };
}

interface OpenFile extends Disposable {
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** Returns at most `length` bytes from `at` on. */
  read(at: number, length: number): Uint8Array;
}

/** Opens a blob, which another process cannot remove any more then. Throws a ConnectError. */
function open(history: BuildHistory, digest: string): OpenFile {
  const path = history.blob(digest);
  if (path === undefined) throw new ConnectError(`content ${digest}: not found`, Code.NotFound);
  const fd = openSync(path, 'r');
  const { size, mtimeMs } = fstatSync(fd);
  return {
    size,
    created: mtimeMs,
    read(at, length) {
      const bytes = Buffer.allocUnsafe(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, at));
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
