import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as the fault server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface FaultServer extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly seen: readonly SeenRequest[];
}

export type Answer = (
  request: SeenRequest,
  response: ServerResponse,
  count: number,
) => void | Promise<void>;

/**
 * A loopback http server that answers as the test says. `count` is 1 for the first request of a
 * method and path.
 */
export async function faultServer(answer: Answer): Promise<FaultServer> {
  const seen: SeenRequest[] = [];
  const counts = new Map<string, number>();
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk);
    } catch {
      return;
    }
    const request = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      body: Buffer.concat(chunks),
    };
    seen.push(request);
    const key = `${request.method} ${request.path}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    await answer(request, response, count);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
