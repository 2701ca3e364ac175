import { create, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Descriptor } from '../../../base/oci.ts';
import { readMessage } from '../../grpc/inner-client.ts';
import {
  ReadContentRequestSchema,
  ReadContentResponseSchema,
  WriteAction,
  WriteContentRequestSchema,
} from '../../proto/content.gen.ts';
import type { ClientSession } from '../client-session.ts';

const SERVICE = '/containerd.services.content.v1.Content';
/** In which a call names the store. */
export const STORE_ID = 'buildkit-attachable-store-id';

type Named = Pick<Descriptor, 'digest' | 'size'>;

/**
 * Reads a blob of a store at the client. The bytes are not verified. Throws a ConnectError, with
 * `NotFound` when the store does not have the blob.
 */
export async function* readClientBlob(
  { client }: ClientSession,
  store: string,
  digest: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const stream = client.stream(`${SERVICE}/Read`, { [STORE_ID]: store }, signal);
  await stream.send(
    toBinary(ReadContentRequestSchema, create(ReadContentRequestSchema, { digest })),
  );
  stream.end();
  for await (const messages of stream.receive())
    for (const message of messages)
      yield readMessage(ReadContentResponseSchema, message, 'client').data;
}

/**
 * Writes a blob into a store at the client, which may have it already. The client is asked first,
 * as by containerd's own clients, so no byte of a blob that it has is read or sent.
 */
export async function writeClientBlob(
  { client }: ClientSession,
  store: string,
  { digest: expected, size }: Named,
  open: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const stream = client.stream(`${SERVICE}/Write`, { [STORE_ID]: store }, signal);
  const total = BigInt(size);
  const send = async (action: WriteAction, offset: bigint, data?: Uint8Array) => {
    const request = { action, ref: expected, total, expected, offset, ...(data && { data }) };
    const message = create(WriteContentRequestSchema, request);
    await stream.send(toBinary(WriteContentRequestSchema, message));
  };
  const asked = Promise.withResolvers<void>();
  const answered = (async () => {
    for await (const _messages of stream.receive()) asked.resolve();
    asked.resolve();
  })();
  // Told below.
  answered.catch(() => {});
  try {
    await Promise.race([send(WriteAction.STAT, 0n), answered]);
    await Promise.race([asked.promise, answered]);
    let offset = 0n;
    for await (const data of pieces(open())) {
      await Promise.race([send(WriteAction.WRITE, offset, data), answered]);
      offset += BigInt(data.byteLength);
    }
    await Promise.race([send(WriteAction.COMMIT, offset), answered]);
    stream.end();
    await answered;
  } catch (error) {
    if (!(error instanceof ConnectError) || error.code !== Code.AlreadyExists) throw error;
  }
}

/** A message carries so many bytes. */
const MAX_MESSAGE = 1 << 20;

async function* pieces(
  all: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of all)
    for (let at = 0; at < bytes.byteLength; at += MAX_MESSAGE)
      yield bytes.subarray(at, at + MAX_MESSAGE);
}
