import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { InnerClient } from '../api/grpc/inner-client.ts';
import { pathOf } from '../api/grpc/inner-server.ts';

/** Calls a method of a server that answers with many messages. Throws a ConnectError. */
export async function* serverStream<I extends DescMessage, O extends DescMessage>(
  server: InnerClient,
  method: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
  signal: AbortSignal,
): AsyncGenerator<MessageShape<O>> {
  const stream = server.stream(pathOf(method), {}, signal);
  await stream.send(toBinary(method.input, create(method.input, request)));
  stream.end();
  for await (const messages of stream.receive())
    for (const message of messages) yield fromBinary(method.output, message);
}
