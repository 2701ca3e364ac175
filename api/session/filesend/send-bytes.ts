import { Code, ConnectError } from '@connectrpc/connect';
import { encode, writeBytes } from '../../../solver/llb/wire.ts';
import type { InnerStream } from '../../grpc/inner-client.ts';
import type { ClientSession } from '../client-session.ts';

export const FILE_SEND = '/moby.filesync.v1.FileSend/DiffCopy';
/** By which a client that takes several outputs knows which one comes. */
export const EXPORTER_ID = 'buildkit-attachable-exporter-id';

/** How the names of headers begin that tell of an image. */
const ABOUT = 'exporter-md-';

/** A message carries so many bytes. */
const MAX_CHUNK = 1 << 20;

/** A file that is written at the client. */
export interface SentFile {
  /** `about` is what the client is told of the file before its first byte. */
  write(bytes: Uint8Array, about?: Readonly<Record<string, string>>): Promise<void>;
  /** Settles when the client has it whole. Does nothing when nothing was written. */
  finish(): Promise<void>;
}

/**
 * The file of the output `id` at the client, which makes it with the first byte. A client that has
 * the file already takes no bytes.
 */
export function sendFile(session: ClientSession, id: string, signal: AbortSignal): SentFile {
  let stream: InnerStream | undefined;
  let ended: Promise<void> | undefined;
  let isThere = false;
  const open = (about: Readonly<Record<string, string>>) => {
    const told = Object.entries(about).map(([name, value]) => [`${ABOUT}${name}`, value] as const);
    const headers = { [EXPORTER_ID]: id, ...Object.fromEntries(told) };
    stream = session.client.stream(FILE_SEND, headers, signal);
    ended = drained(stream).catch((error) => {
      if (!(error instanceof ConnectError) || error.code !== Code.AlreadyExists) throw error;
      isThere = true;
    });
    // Told by `finish`, or by the next write.
    ended.catch(() => {});
    return stream;
  };
  return {
    async write(bytes, about = {}) {
      const to = stream ?? open(about);
      for (let at = 0; at < bytes.byteLength && !isThere; at += MAX_CHUNK) {
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
