import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { messageOf } from '../../base/errors.ts';
import { type GrpcStream, messagesOf, sendMessages } from './grpc-frames.ts';

/** What a client of BuildKit lends is answered by these, by the paths of their methods. */
export type InnerMethods = ReadonlyMap<string, InnerMethod>;

/**
 * Answers one call. The call has succeeded when the promise is fulfilled. A ConnectError is told
 * with its code, any other error as one without.
 */
export type InnerMethod = (call: AnsweredCall) => Promise<void>;

export interface AnsweredCall {
  readonly stream: GrpcStream;
  /** The values of a header, in order. */
  metadata(name: string): readonly string[];
  /** Aborts when the other side has ended the call or the connection. */
  readonly signal: AbortSignal;
}

const STREAM_WINDOW = 4 << 20;
const CONNECTION_WINDOW = 16 << 20;
const MAX_STREAMS = 250;
/** A status is sent in a header. */
const MAX_TEXT = 8 << 10;

/**
 * # gRPC over a byte stream, as the server
 *
 * The other end of `inner-client.ts`: what a client of BuildKit is inside its session. A call has
 * its messages as bytes, so that whoever moves files decides how they are read. Disposed, it ends
 * the connection.
 */
export function serveInner(bytes: Duplex, answers: InnerMethods): Disposable {
  const server = createServer({
    settings: { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: MAX_STREAMS },
  });
  let open: ServerHttp2Session | undefined;
  server.on('session', (session: ServerHttp2Session) => {
    open = session;
    session.on('error', () => {});
    session.setLocalWindowSize(CONNECTION_WINDOW);
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream: ServerHttp2Stream, headers, _flags, raw: readonly string[]) => {
    stream.on('error', () => {});
    void answered(stream, raw, answers.get(String(headers[':path'] ?? '')));
  });
  bytes.on('error', () => {});
  server.emit('connection', bytes);
  return {
    [Symbol.dispose]() {
      open?.destroy();
      bytes.destroy();
    },
  };
}

async function answered(
  stream: ServerHttp2Stream,
  headers: readonly string[],
  answer: InnerMethod | undefined,
): Promise<void> {
  // The other side may have ended the call as soon as it had begun.
  if (stream.destroyed) return;
  let status: ConnectError | undefined;
  stream.once('wantTrailers', () => stream.sendTrailers(trailersOf(status)));
  stream.respond({ ':status': 200, ...ANSWER_HEADERS }, { waitForTrailers: true });
  status = await outcomeOf(stream, headers, answer);
  if (stream.destroyed) return;
  stream.end();
  // What the other side still sends is not read.
  stream.resume();
}

/** The headers of an answer. */
export const ANSWER_HEADERS = { 'content-type': 'application/grpc' } as const;

/**
 * Answers a call whose headers have been sent and whose trailers have not. Returns the error of the
 * call, or undefined. `headers` lists the names and values of its headers in turn.
 */
export async function outcomeOf(
  stream: ServerHttp2Stream,
  headers: readonly string[],
  answer: InnerMethod | undefined,
): Promise<ConnectError | undefined> {
  const over = new AbortController();
  stream.once('close', () => over.abort());
  let hasEnded = false;
  try {
    if (!answer) throw new ConnectError('unknown method', Code.Unimplemented);
    await answer({
      stream: {
        send: (...messages) => sendMessages(stream, messages),
        end() {
          hasEnded = true;
        },
        // The other side need not say that it has no more.
        async *receive() {
          for await (const messages of messagesOf(stream, 'server')) {
            yield messages;
            if (hasEnded) return;
          }
        },
      },
      metadata: (name) => valuesOf(headers, name),
      signal: over.signal,
    });
    return undefined;
  } catch (error) {
    return error instanceof ConnectError ? error : new ConnectError(messageOf(error), Code.Unknown);
  }
}

/** The trailers that tell how a call ended. */
export function trailersOf(status: ConnectError | undefined): Record<string, string> {
  if (!status) return { 'grpc-status': '0' };
  const text = encodeURIComponent(status.rawMessage.slice(0, MAX_TEXT).toWellFormed());
  return { 'grpc-status': String(status.code), 'grpc-message': text };
}

/** From the list of names and values: a joined value could not be taken apart again. */
function valuesOf(headers: readonly string[], name: string): readonly string[] {
  return headers.filter((_, at) => at % 2 === 1 && headers[at - 1] === name);
}

/** The answer of a method of one message each way. */
export function unaryAnswer<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  work: (request: MessageShape<I>, call: AnsweredCall) => Promise<MessageInitShape<O>>,
): readonly [path: string, answer: InnerMethod] {
  return [
    pathOf(method),
    async (call) => {
      let request: Buffer | undefined;
      for await (const messages of call.stream.receive()) request ??= messages[0];
      const told = request ?? Buffer.alloc(0);
      const answer = await work(fromBinary(method.input, told), call);
      await call.stream.send(toBinary(method.output, create(method.output, answer)));
    },
  ];
}

/** The path by which a method is called. */
export function pathOf(method: {
  readonly parent: { readonly typeName: string };
  readonly name: string;
}): string {
  return `/${method.parent.typeName}/${method.name}`;
}
