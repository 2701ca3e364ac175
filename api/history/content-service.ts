import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { digestOf } from '../../base/digest.ts';
import type { Content } from '../proto/content.gen.ts';
import type { BuildHistory } from './build-history.ts';
import { errorBlob } from './history-messages.ts';

/** A message carries so many bytes. */
const CHUNK = 1 << 20;

/**
 * # Content: the blobs that records of the history name, to be read
 *
 * The errors of builds, with their details. Nothing else of the store can be read: a client that
 * knows a digest need not be allowed to have the blob.
 */
export function contentService(history: BuildHistory): Partial<ServiceImpl<typeof Content>> {
  const find = (digest: string): Uint8Array => {
    for (const record of history.records()) {
      const blob = errorBlob(record);
      if (blob && digestOf(blob) === digest) return blob;
    }
    throw new ConnectError(`content ${digest}: not found`, Code.NotFound);
  };
  return {
    async info({ digest }) {
      return { info: { digest, size: BigInt(find(digest).byteLength) } };
    },

    async *read({ digest, offset, size }) {
      const blob = find(digest);
      const start = Number(offset);
      const end = size > 0n ? Math.min(blob.byteLength, start + Number(size)) : blob.byteLength;
      for (let at = start; at < end; at += CHUNK)
        yield { offset: BigInt(at), data: blob.subarray(at, Math.min(end, at + CHUNK)) };
    },
  };
}
