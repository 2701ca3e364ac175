import { fromBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { InnerClient } from '../api/grpc/inner-client.ts';
import { Content } from '../api/proto/content.gen.ts';
import { Control } from '../api/proto/control.gen.ts';
import { StatusSchema } from '../api/proto/rpc-status.gen.ts';
import { serverStream } from './calls.ts';

/** An error has no more bytes than that. */
const MAX_ERROR = 16 << 20;
/** How long the server may take to say what the error was, in milliseconds. */
const ASKING_MS = 5_000;

/**
 * The error of a build that has ended, from the history of the server. An error comes in a header,
 * with the text of the Dockerfile. Node ends a stream whose headers have more than about 130 kB, so
 * the text of a long one is asked for as content, over a new connection. Undefined when the server
 * does not say.
 */
export async function errorToldLater(
  client: InnerClient,
  ref: string,
): Promise<ConnectError | undefined> {
  const signal = AbortSignal.timeout(ASKING_MS);
  const { listenBuildHistory } = Control.method;
  const asked = { ref, earlyExit: true };
  let digest: string | undefined;
  for await (const { record } of serverStream(client, listenBuildHistory, asked, signal))
    if (record?.ref === ref) digest = record.externalError?.digest ?? digest;
  if (digest === undefined) return undefined;
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const { data } of serverStream(client, Content.method.read, { digest }, signal)) {
    length += data.byteLength;
    if (length > MAX_ERROR) return undefined;
    pieces.push(data);
  }
  const { code, message, details } = fromBinary(StatusSchema, Buffer.concat(pieces));
  const error = new ConnectError(message, code in Code ? code : Code.Unknown);
  for (const { typeUrl, value } of details) error.details.push({ type: typeUrl, value });
  return error;
}
