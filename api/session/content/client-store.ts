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

/** Writes a blob into a store at the client, which may have it already. */
export async function writeClientBlob(
  { client }: ClientSession,
  store: string,
  { digest: expected, size }: Named,
  bytes: Iterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const stream = client.stream(`${SERVICE}/Write`, { [STORE_ID]: store }, signal);
  const total = BigInt(size);
  const answered = (async () => {
    for await (const _messages of stream.receive());
  })();
  let isOver = false;
  const over = answered.finally(() => {
    isOver = true;
  });
  // Told below.
  over.catch(() => {});
  const send = async (action: WriteAction, offset: bigint, data?: Uint8Array) => {
    const request = { action, ref: expected, total, expected, offset, ...(data && { data }) };
    const message = create(WriteContentRequestSchema, request);
    await Promise.race([stream.send(toBinary(WriteContentRequestSchema, message)), over]);
  };
  try {
    let offset = 0n;
    for (const data of bytes) {
      if (isOver) break;
      await send(WriteAction.WRITE, offset, data);
      offset += BigInt(data.byteLength);
    }
    if (!isOver) await send(WriteAction.COMMIT, offset);
    stream.end();
    await answered;
  } catch (error) {
    if (!(error instanceof ConnectError) || error.code !== Code.AlreadyExists) throw error;
  }
}
