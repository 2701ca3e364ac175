import type { InnerStream } from '../../grpc/inner-client.ts';
import type { ClientSession } from '../client-session.ts';
import { GO_MODE } from './go-mode.ts';
import { type FileStat, PACKET, packetBytes, readPacket, statPacket } from './packet.ts';

/** A file of a client in a test. */
export interface TestFile {
  readonly path: string;
  readonly text?: string;
  readonly mode?: number;
  readonly linkname?: string;
  readonly modTime?: bigint;
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** A time that a kernel could have given. */
export const NATURAL = 1_700_000_000_123_456_789n;

export const directory = (path: string): TestFile => ({ path, mode: GO_MODE.directory | 0o755 });
export const symlink = (path: string, linkname: string): TestFile => ({
  path,
  linkname,
  mode: GO_MODE.symlink | 0o777,
});

export function statOf(file: TestFile): FileStat {
  const { path, text = '', mode = 0o644, linkname = '', modTime = NATURAL } = file;
  const { xattrs: attributes = {} } = file;
  const xattrs = new Map(Object.entries(attributes).map(([name, text]) => [name, bytes(text)]));
  const size = Buffer.byteLength(text);
  return { path, mode: mode >>> 0, uid: 0, gid: 0, size, modTime, linkname, xattrs };
}

const bytes = (text: string) => Buffer.from(text);

export interface TestClient {
  readonly session: ClientSession;
  /** The paths whose content was asked for, in order. */
  readonly asked: string[];
}

/** A client that lends one directory with these files, by the rules of the protocol. */
export function testClient(files: readonly TestFile[]): TestClient {
  const asked: string[] = [];
  const answer = (message: Uint8Array): Uint8Array[] => {
    const { type, id } = readPacket(message);
    if (type === PACKET.fin) return [packetBytes(PACKET.fin)];
    const file = files[id]!;
    asked.push(file.path);
    const text = Buffer.from(file.text ?? '');
    return [
      ...(text.byteLength > 0 ? [packetBytes(PACKET.data, id, text)] : []),
      packetBytes(PACKET.data, id),
    ];
  };
  const told = [...files.map((file) => statPacket(statOf(file))), statPacket(undefined)];
  return { session: talking(told, answer), asked };
}

/** A client that says `told`, and answers each message with what `answer` makes of it. */
export function talking(
  told: readonly Uint8Array[],
  answer: (message: Uint8Array) => readonly Uint8Array[] = () => [],
): ClientSession {
  const stream = (): InnerStream => {
    const queue: Uint8Array[] = [...told];
    return {
      async send(...messages) {
        for (const message of messages) queue.push(...answer(message));
      },
      end: () => {},
      async *receive() {
        for (;;) {
          const messages = queue.splice(0).map((message) => Buffer.from(message));
          if (messages.length === 0) return;
          yield messages;
        }
      },
    };
  };
  const closed = new AbortController().signal;
  return {
    id: 'test',
    name: 'test',
    sharedKey: 'key',
    supports: () => true,
    client: {
      closed,
      stream,
      unary: async () => {
        throw new Error('a test client answers no calls');
      },
      [Symbol.dispose]: () => {},
    },
    [Symbol.dispose]: () => {},
  };
}
