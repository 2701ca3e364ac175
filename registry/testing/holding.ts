import { createServer, type IncomingMessage, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A reverse proxy on loopback that never answers some requests. */
export interface HoldingProxy extends AsyncDisposable {
  readonly host: string;
  /** Requests that were answered, such as `PUT 201`. */
  readonly answered: readonly string[];
}

/**
 * Passes requests on to `host`, except those that `holds` selects. `onAnswer` is called after each
 * answer.
 */
export async function holdingProxy(
  host: string,
  holds: (request: IncomingMessage) => boolean,
  onAnswer: () => void = () => {},
): Promise<HoldingProxy> {
  const answered: string[] = [];
  const server = createServer((request, response) => {
    request.on('error', () => {});
    if (holds(request)) return;
    const { method, url, headers } = request;
    // The Host header is kept, so that the registry names this proxy in its answers.
    const onward = send(`http://${host}${url}`, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on('end', () => {
        answered.push(`${method} ${answer.statusCode}`);
        onAnswer();
      });
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    answered,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
