import { encode, writeBytes } from '../../../solver/llb/wire.ts';
import type { InnerStream } from '../../grpc/inner-client.ts';
import type { ClientSession } from '../client-session.ts';

export const FILE_SEND = '/moby.filesync.v1.FileSend/DiffCopy';
/** By which a client that takes several outputs knows which one comes. */
export const EXPORTER_ID = 'buildkit-attachable-exporter-id';

/** A message carries so many bytes. */
const MAX_CHUNK = 1 << 20;

/** A file that is written at the client. */
export interface SentFile {
  write(bytes: Uint8Array): Promise<void>;
  /** Settles when the client has it whole. Does nothing when nothing was written. */
  finish(): Promise<void>;
}

/** The file of the output `id` at the client, which makes it with the first byte. */
export function sendFile(session: ClientSession, id: string, signal: AbortSignal): SentFile {
  let stream: InnerStream | undefined;
  let ended: Promise<void> | undefined;
  const open = () => {
    stream = session.client.stream(FILE_SEND, { [EXPORTER_ID]: id }, signal);
    ended = drained(stream);
    // Told by `finish`, or by the next write.
    ended.catch(() => {});
    return stream;
  };
  return {
    async write(bytes) {
      const to = stream ?? open();
      for (let at = 0; at < bytes.byteLength; at += MAX_CHUNK) {
        const data = bytes.subarray(at, at + MAX_CHUNK);
        const sent = to.send(encode((out) => writeBytes(out, 1, data)));
        // A client that refuses ends the stream, and no more is sent.
        await Promise.race([sent, ended]);
      }
    },
    async finish() {
      stream?.end();
      await ended;
    },
  };
}

async function drained(stream: InnerStream): Promise<void> {
  for await (const _messages of stream.receive());
}
