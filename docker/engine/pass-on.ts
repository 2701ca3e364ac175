import { request as httpRequest, type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type AnswerTo, engineLost, type Otherwise } from './no-engine.ts';

/** Headers of one connection, which are not passed on (RFC 9110, 7.6.1). */
const OF_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer']);

/** Called before a request is passed on, with its path. */
export type Preparing = (
  request: IncomingMessage,
  signal: AbortSignal,
) => Promise<Buffer | undefined>;

/**
 * Passes requests on to an engine behind `socketPath`, with the streams that they take over.
 * `prepare` may read the body; what it returns is sent in its place.
 */
export function passOn(socketPath: string, prepare: Preparing): Otherwise {
  return async (request, answer, signal) => {
    const body = await prepare(request, signal);
    if (answer instanceof ServerResponse) await exchange(socketPath, request, answer, signal, body);
    else await takeOver(socketPath, request, answer, signal);
  };
}

async function exchange(
  socketPath: string,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
  body: Buffer | undefined,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = passedHeaders(request);
  if (body) headers['content-length'] = String(body.byteLength);
  const { method = 'GET', url = '/' } = request;
  const out = httpRequest({ socketPath, method, path: url, headers, signal });
  out.once('response', resolve);
  out.once('error', reject);
  if (body) out.end(body);
  else request.pipe(out);
  const answered = await promise.catch((error: unknown) =>
    Promise.reject(engineLost(socketPath, error)),
  );
  response.writeHead(answered.statusCode ?? 502, answered.headers);
  response.flushHeaders();
  await pipeline(answered, response).catch(() => response.destroy());
}

/** Sends the request with its upgrade, and joins both connections when the engine agrees. */
async function takeOver(
  socketPath: string,
  request: IncomingMessage,
  { socket, head }: Exclude<AnswerTo, ServerResponse>,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const { method = 'POST', url = '/' } = request;
  const headers = {
    ...passedHeaders(request),
    connection: 'Upgrade',
    upgrade: request.headers.upgrade ?? 'tcp',
  };
  const out = httpRequest({ socketPath, method, path: url, headers, signal });
  out.once('error', (error) => reject(engineLost(socketPath, error)));
  out.once('upgrade', (answer: IncomingMessage, theirs: Duplex, theirHead: Buffer) => {
    socket.write(headOf(answer));
    if (theirHead.length > 0) socket.write(theirHead);
    if (head.length > 0) theirs.write(head);
    join(socket, theirs);
    socket.once('close', resolve);
  });
  out.once('response', (answer) => {
    socket.write(headOf(answer));
    answer.pipe(socket);
    socket.once('close', resolve);
  });
  // A request that takes its connection over may have a body, whose length its headers say.
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > 0) {
    out.write(head.subarray(0, length));
    head = head.subarray(length);
  }
  out.end();
  await promise;
}

/** Copies both ways. The end of one direction leaves the other open, as with `docker exec -i`. */
function join(ours: Duplex, theirs: Duplex): void {
  for (const [from, to] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    from.on('error', () => to.destroy());
    from.once('close', () => to.end());
    from.pipe(to);
  }
}

function headOf(answer: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let at = 0; at < answer.rawHeaders.length; at += 2)
    lines.push(`${answer.rawHeaders[at]}: ${answer.rawHeaders[at + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function passedHeaders({ headers }: IncomingMessage): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || OF_CONNECTION.has(name) || name === 'upgrade' ? [] : [[name, value]],
    ),
  );
}
