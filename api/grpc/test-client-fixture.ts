import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { ConnectRouter } from '@connectrpc/connect';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { Health } from '../proto/health.gen.ts';
import { ByteStream } from './byte-stream.ts';
import { serveStream } from './stream-server.ts';

/** A call in which both sides send messages. Iterating gives those of the server. */
export interface TestStream<I extends DescMessage, O extends DescMessage>
  extends AsyncIterable<MessageShape<O>> {
  send(message: MessageInitShape<I>): void;
  /** No more is sent. */
  end(): void;
  cancel(): void;
}

/** A client of the server at a socket, by another implementation of gRPC than the server's. */
export class TestGrpcClient implements Disposable {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix://${socket}`, credentials.createInsecure(), {
      'grpc.max_send_message_length': -1,
    });
  }

  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        create(method.input, request) as MessageShape<I>,
        metadataOf(headers),
        (error, answer) => (error ? reject(error) : resolve(answer!)),
      );
    });
  }

  /** The messages of a call that the server answers with a stream. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
  ): AsyncGenerator<MessageShape<O>, void, void> {
    const stream = this.#client.makeServerStreamRequest(
      `/${method.parent.typeName}/${method.name}`,
      (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      create(method.input, request) as MessageShape<I>,
    );
    try {
      for await (const message of stream) yield message as MessageShape<O>;
    } finally {
      stream.cancel();
    }
  }

  /** Begins a call in which both sides send messages. */
  exchange<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    headers: Readonly<Record<string, string>> = {},
  ): TestStream<I, O> {
    const stream = this.#client.makeBidiStreamRequest(
      `/${method.parent.typeName}/${method.name}`,
      (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      metadataOf(headers),
    );
    return {
      send: (message) => void stream.write(create(method.input, message) as MessageShape<I>),
      end: () => stream.end(),
      cancel: () => stream.cancel(),
      [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
    };
  }

  /** The statuses that Health.Watch sends. */
  async *watch(): AsyncGenerator<number, void, void> {
    for await (const { status } of this.stream(Health.method.watch, {})) yield status;
  }

  /**
   * Opens a session of the client with this ID, in which the client answers calls: `routes` are its
   * services. Disposed, it is over.
   */
  openSession(id: string, routes: (router: ConnectRouter) => void): Disposable {
    const metadata = new Metadata();
    metadata.set('x-docker-expose-session-uuid', id);
    const stream = this.#client.makeBidiStreamRequest(
      '/moby.buildkit.v1.Control/Session',
      (message: Uint8Array) => Buffer.from(message),
      (bytes: Buffer) => bytes,
      metadata,
    );
    stream.on('error', () => {});
    const bytes = new ByteStream({
      async send(...messages) {
        for (const message of messages) stream.write(message);
      },
      end: () => void stream.end(),
      async *receive() {
        for await (const message of stream) yield [message as Buffer];
      },
    });
    serveStream(bytes, routes, { spoken: () => {}, closed: () => {} });
    return {
      [Symbol.dispose]() {
        bytes.destroy();
        stream.cancel();
      },
    };
  }

  /** Returns the error of a call that must fail. */
  async refused(answer: Promise<unknown>): Promise<ServiceError> {
    try {
      await answer;
    } catch (error) {
      return error as ServiceError;
    }
    throw new Error('the call was answered');
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
