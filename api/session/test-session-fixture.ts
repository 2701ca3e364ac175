import { Duplex } from 'node:stream';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Client, credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { BytesMessageSchema, Control } from '../proto/control.gen.ts';

/** A method that the client answers in its session. */
export interface SessionMethod {
  readonly path: string;
  readonly method: DescMethodUnary;
  readonly answer: (bytes: unknown) => Promise<unknown>;
}

/** `answer` may throw an error with a `code` of gRPC. */
export function sessionMethod<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  answer: (request: MessageShape<I>) => Promise<MessageInitShape<O>>,
): SessionMethod {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    method: method as unknown as DescMethodUnary,
    answer: async (request) => create(method.output, await answer(request as MessageShape<I>)),
  };
}

/** A method that gets bytes and answers nothing, such as FileSend. */
export interface SessionReceiver {
  readonly path: string;
  /** Told of each message and of the headers of the call. */
  readonly received: (bytes: Uint8Array, headers: Metadata) => void;
}

type Answered = (error: Partial<Error> | null, message?: unknown) => void;

function unaryHandler(answer: SessionMethod['answer']) {
  return ({ request }: { readonly request: unknown }, answered: Answered) =>
    void answer(request).then(
      (message) => answered(null, message),
      (error) => answered(error),
    );
}

/**
 * The session of a client, by another implementation of gRPC than the server's: inside a stream of
 * the client, the client is the server. Disposed, it is closed.
 */
export class TestSession implements Disposable {
  readonly #client: Client;
  readonly #server = new Server();

  constructor(
    socket: string,
    id: string,
    methods: readonly SessionMethod[],
    receivers: readonly SessionReceiver[] = [],
  ) {
    for (const { path, method, answer } of methods)
      this.#server.register(
        path,
        unaryHandler(answer) as never,
        (message: unknown) => Buffer.from(toBinary(method.output, message as never)),
        (bytes: Buffer) => fromBinary(method.input, bytes),
        'unary',
      );
    for (const { path, received } of receivers)
      this.#server.register(
        path,
        (call: NodeJS.ReadableStream & { metadata: Metadata; end(): void }) => {
          call.on('data', (bytes: Buffer) => received(bytes, call.metadata));
          call.on('end', () => call.end());
        },
        (bytes: unknown) => bytes as Buffer,
        (bytes: Buffer) => Buffer.from(fromBinary(BytesMessageSchema, bytes).data),
        'bidi',
      );
    this.#client = new Client(`unix://${socket}`, credentials.createInsecure());
    const headers = new Metadata();
    headers.set('x-docker-expose-session-uuid', id);
    headers.set('x-docker-expose-session-name', 'test');
    for (const { path } of [...methods, ...receivers])
      headers.add('x-docker-expose-session-grpc-method', path);
    const { parent, name } = Control.method.session;
    const stream = this.#client.makeBidiStreamRequest(
      `/${parent.typeName}/${name}`,
      (data: Uint8Array) =>
        Buffer.from(toBinary(BytesMessageSchema, create(BytesMessageSchema, { data }))),
      (bytes: Buffer) => Buffer.from(fromBinary(BytesMessageSchema, bytes).data),
      headers,
    );
    const connection = new Duplex({
      read() {},
      write(bytes: Buffer, _encoding, done) {
        stream.write(bytes);
        done();
      },
      final(done) {
        stream.end();
        done();
      },
    });
    stream.on('data', (bytes: Buffer) => connection.push(bytes));
    stream.on('end', () => connection.push(null));
    stream.on('error', () => connection.destroy());
    this.#server
      .createConnectionInjector(ServerCredentials.createInsecure())
      .injectConnection(connection);
  }

  [Symbol.dispose](): void {
    this.#server.forceShutdown();
    this.#client.close();
  }
}
