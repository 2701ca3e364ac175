import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import type { SshAgentConnection, SshAgentSource } from './agent.ts';
import { messages, SshFormatError, string } from './wire.ts';

/** The agent that listens at `path`. The first request of each conversation connects to it. */
export function socketAgent(path: string): SshAgentSource {
  return { connect: () => new SocketConnection(path) };
}

/**
 * Whatever listens at `path`, as BuildKit lends it with `raw=true`. Bytes go in both directions as
 * they are, and either side may speak first or close its half.
 */
export function rawSocket(path: string): SshAgentSource {
  return { ...socketAgent(path), isRaw: true, pass: (bytes) => carried(bytes, path) };
}

async function* carried(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array, void, void> {
  const socket = createConnection({ path, allowHalfOpen: true });
  // The iterator reports the error as well.
  socket.on('error', () => {});
  const send = async () => {
    for await (const piece of bytes) {
      if (socket.destroyed) return;
      if (!socket.write(piece)) await once(socket, 'drain');
    }
    socket.end();
  };
  send().catch(() => socket.destroy());
  try {
    yield* socket;
  } finally {
    socket.destroy();
  }
}

class SocketConnection implements SshAgentConnection {
  readonly #path: string;
  #open:
    | { readonly socket: Socket; readonly answers: AsyncGenerator<Buffer, void, void> }
    | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async ask(request: Buffer): Promise<Buffer> {
    this.#open ??= this.#connect();
    this.#open.socket.write(string(request));
    const { value } = await this.#open.answers.next();
    if (!value) throw new SshFormatError('the agent closed the connection');
    return value;
  }

  #connect() {
    const socket = createConnection(this.#path);
    // The iterator reports the error as well. This listener keeps a late error from ending the
    // process.
    socket.on('error', () => {});
    return { socket, answers: messages(socket) };
  }

  [Symbol.dispose](): void {
    this.#open?.socket.destroy();
  }
}
