import { randomBytes } from 'node:crypto';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { Duplex } from 'node:stream';
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { GO_MODE } from '../api/session/filesync/go-mode.ts';
import { PACKET, packetBytes, readPacket, statPacket } from '../api/session/filesync/packet.ts';
import { asBytes, encode, readFields, writeBytes } from '../solver/llb/wire.ts';

/** What a server answered: all of its messages, and its status. */
export interface Answer {
  /** The code of gRPC; undefined when the stream was reset, or the connection was closed. */
  readonly code: number | undefined;
  readonly text: string;
  readonly messages: readonly Buffer[];
}

/** What a client answers to a call on the connection inside its session. */
export type Answering = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

const HEALTH = '/grpc.health.v1.Health/Check';
const SESSION = '/moby.buildkit.v1.Control/Session';
export const FILE_SYNC = '/moby.filesync.v1.FileSync/DiffCopy';

/**
 * A client of BuildKit's services that sends bytes as they are given to it, also wrong ones, over
 * Node's HTTP/2.
 */
export class RawClient implements Disposable {
  readonly #session: ClientHttp2Session;

  constructor(socket: string) {
    this.#session = connect('http://localhost', {
      createConnection: () => connectSocket(socket),
      // Node refuses answers while it has more to send than this, in MB.
      maxSessionMemory: 1000,
    });
    this.#session.on('error', () => {});
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  stream(path: string, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
    const stream = this.#session.request(
      {
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      },
      { endStream: false },
    );
    stream.on('error', () => {});
    return stream;
  }

  /** Sends bytes that are framed already, and nothing after them. */
  async send(path: string, bytes: Uint8Array, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
    const stream = this.stream(path, headers);
    stream.end(bytes);
    return await answerOf(stream);
  }

  async call<I extends DescMessage>(
    method: DescMethod & { readonly input: I },
    request: MessageInitShape<I>,
    headers: OutgoingHttpHeaders = {},
  ): Promise<Answer> {
    return await this.send(pathOf(method), framed(messageOf(method, request)), headers);
  }

  /** Opens a session. What is not in `answers` is unimplemented, except the question of health. */
  session(answers: Readonly<Record<string, Answering>>, headers: OutgoingHttpHeaders = {}): Lent {
    const id = randomBytes(8).toString('hex');
    const stream = this.stream(SESSION, {
      'x-docker-expose-session-uuid': id,
      'x-docker-expose-session-name': 'test',
      'x-docker-expose-session-sharedkey': '',
      'x-docker-expose-session-grpc-method': Object.keys(answers),
      ...headers,
    });
    const bytes = new Carried(stream);
    const server = createServer();
    server.on('sessionError', () => {});
    server.on('stream', (inner, asked) => {
      inner.on('error', () => {});
      const path = asked[':path'] ?? '';
      const answer = answers[path] ?? (path === HEALTH ? empty : refusing(12, 'unimplemented'));
      answer(inner, asked);
    });
    server.emit('connection', bytes);
    const answer = statusOf(stream);
    return { id, stream, answer: bytes.over.then(() => answer()), end: () => stream.close() };
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

/** A session of a test. */
export interface Lent {
  readonly id: string;
  readonly stream: ClientHttp2Stream;
  /** Settles when the server has ended it. */
  readonly answer: Promise<Answer>;
  readonly end: () => void;
}

export { statPacket };

export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

export function messageOf<I extends DescMessage>(
  method: DescMethod & { readonly input: I },
  request: MessageInitShape<I>,
): Uint8Array {
  return toBinary(method.input, create(method.input, request));
}

export function answered<O extends DescMessage>(
  method: DescMethod & { readonly output: O },
  { messages }: Answer,
) {
  return fromBinary(method.output, messages[0]!);
}

/** A message as gRPC sends it. */
export function framed(message: Uint8Array, flag = 0, length = message.byteLength): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const status = statusOf(stream);
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  const messages: Buffer[] = [];
  try {
    for await (const message of messagesOf(stream)) messages.push(message);
  } catch {
    // The stream was reset.
  }
  await closed;
  return { ...status(), messages };
}

/** Answers how the stream has ended, when it has. */
function statusOf(stream: ClientHttp2Stream): () => Answer {
  const told: IncomingHttpHeaders = {};
  stream.on('response', (headers) => Object.assign(told, headers));
  stream.on('trailers', (headers) => Object.assign(told, headers));
  return () => {
    const code = told['grpc-status'];
    return {
      code: code === undefined ? undefined : Number(code),
      text: decodeURIComponent(String(told['grpc-message'] ?? '')),
      messages: [],
    };
  };
}

/** Cuts what comes into messages. */
export async function* messagesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.byteLength >= 5 && rest.byteLength >= 5 + rest.readUInt32BE(1)) {
      const end = 5 + rest.readUInt32BE(1);
      yield rest.subarray(5, end);
      rest = rest.subarray(end);
    }
  }
}

/** The second connection: its bytes in messages of the stream of a session. */
class Carried extends Duplex {
  readonly #stream: ClientHttp2Stream;
  /** Settles when nothing more comes. */
  readonly over: Promise<void>;

  constructor(stream: ClientHttp2Stream) {
    super();
    this.#stream = stream;
    stream.once('close', () => this.destroy());
    this.on('error', () => {});
    this.over = this.#receive();
  }

  async #receive(): Promise<void> {
    try {
      for await (const message of messagesOf(this.#stream))
        for (const field of readFields(message)) this.push(asBytes(field));
      this.push(null);
    } catch {
      this.destroy();
    }
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.#stream.destroyed) return done();
    this.#stream.write(framed(encode((out) => writeBytes(out, 1, chunk))));
    done();
  }
}

const TRAILERS = { waitForTrailers: true };

function begin(stream: ServerHttp2Stream, code: number, text = ''): void {
  if (stream.destroyed) return;
  stream.on('wantTrailers', () =>
    stream.sendTrailers({ 'grpc-status': code, 'grpc-message': encodeURIComponent(text) }),
  );
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, TRAILERS);
}

/** Answers with these messages, and success. */
export function replying(...messages: readonly Uint8Array[]): Answering {
  return (stream) => {
    begin(stream, 0);
    stream.resume();
    for (const message of messages) stream.write(framed(message));
    stream.end();
  };
}

export const empty = replying(new Uint8Array());

export function refusing(code: number, text: string): Answering {
  return (stream) => {
    begin(stream, code, text);
    stream.resume();
    stream.end();
  };
}

/** Never answers. */
export const silent: Answering = (stream) => void stream.resume();

/** Sends bytes that are no messages. */
export function sending(bytes: Uint8Array): Answering {
  return (stream) => {
    begin(stream, 0);
    stream.resume();
    stream.end(bytes);
  };
}

export interface LentFile {
  readonly path: string;
  readonly text?: string;
  readonly mode?: number;
  readonly linkname?: string;
  readonly size?: number;
  readonly modTime?: bigint;
}

export const directoryAt = (path: string): LentFile => ({ path, mode: GO_MODE.directory | 0o755 });

export function statOf({ path, text = '', ...given }: LentFile): Uint8Array {
  return statPacket({
    path,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: Buffer.byteLength(text),
    modTime: 1_700_000_000_123_456_789n,
    linkname: '',
    xattrs: new Map(),
    ...given,
  });
}

/** What of a talk is otherwise than a good client has it. */
export interface Lies {
  /** What is told in the place of the files. */
  readonly told?: Iterable<Uint8Array>;
  /** Answers a request for the content of the file with this number. */
  readonly content?: (id: number) => readonly Uint8Array[];
}

/** Lends directories by name, as a client of BuildKit does, or with lies. */
export function lending(
  directories: Readonly<Record<string, readonly LentFile[]>>,
  lies: Readonly<Record<string, Lies>> = {},
): Answering {
  return (stream, headers) => {
    const name = String(headers['dir-name']);
    const files = directories[name] ?? [];
    const { told, content } = lies[name] ?? {};
    begin(stream, 0);
    const send = (...packets: readonly Uint8Array[]) => {
      if (!stream.destroyed) for (const packet of packets) stream.write(framed(packet));
    };
    const contentOf = (id: number) => [
      packetBytes(PACKET.data, id, Buffer.from(files[id]?.text ?? '')),
      packetBytes(PACKET.data, id),
    ];
    void (async () => {
      try {
        if (told) for (const packet of told) await written(stream, packet);
        else send(...files.map(statOf), statPacket(undefined));
        for await (const message of messagesOf(stream)) {
          const { type, id } = readPacket(message);
          if (type === PACKET.request) send(...(content ?? contentOf)(id));
          else if (type === PACKET.fin) {
            send(packetBytes(PACKET.fin));
            stream.end();
          } else if (type === PACKET.error) stream.end();
        }
      } catch {
        // The server has ended the talk.
      }
    })();
  };
}

async function written(stream: ServerHttp2Stream, packet: Uint8Array): Promise<void> {
  if (stream.destroyed) throw new Error('the server has ended the talk');
  if (!stream.write(framed(packet)))
    await new Promise<void>((resolve) => {
      stream.once('drain', resolve);
      stream.once('close', resolve);
    });
}
