import { Code, ConnectError } from '@connectrpc/connect';
import type { InnerMethod } from '../../api/grpc/inner-server.ts';
import { PULL, URL_PATH } from '../../api/session/upload.ts';
import { encode, writeBytes } from '../../solver/llb/wire.ts';

/** A message carries so many bytes. */
const CHUNK = 1 << 20;

/** Answers for bytes that the server fetches at a URL inside the session: by its last name. */
export function lentUploads(
  uploads: ReadonlyMap<string, Buffer>,
): readonly [path: string, answer: InnerMethod] {
  return [
    PULL,
    async ({ stream, metadata }) => {
      const name = (metadata(URL_PATH)[0] ?? '').replace(/^.*\//s, '');
      const bytes = uploads.get(name);
      if (!bytes) throw new ConnectError(`nothing is lent as ${name}`, Code.NotFound);
      for (let at = 0; at < bytes.byteLength; at += CHUNK) {
        const data = bytes.subarray(at, at + CHUNK);
        await stream.send(encode((out) => writeBytes(out, 1, data)));
      }
    },
  ];
}
