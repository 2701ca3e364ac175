import { chmodSync, closeSync, openSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fchownat } from '../../snapshotter/sys/calls.ts';
import { AT, O } from '../../snapshotter/sys/constants.ts';
import { FAILURE, MESSAGE, type SshAgentConnection, type SshAgentSource } from './agent.ts';
import { messages, string } from './wire.ts';

/** Further conversations are refused, because each one costs this process two descriptors. */
const MAX_CONVERSATIONS = 64;
const NAME = 'agent.sock';

/** A socket behind which an agent answers, until it is disposed. */
export interface ForwardedAgent extends AsyncDisposable {
  readonly socket: string;
}

export interface SocketAccess {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/**
 * Listens in `directory`, which only this process may use. The client may list keys and have data
 * signed. All other requests (adding, removing, locking, extensions) are answered with a failure
 * and never reach the agent, as with BuildKit. What is no conversation with an agent is carried by
 * `SshAgentSource.pass`, and so is everything for a source that is raw.
 */
export async function forwardAgent(
  source: SshAgentSource,
  directory: string,
  access: SocketAccess,
): Promise<ForwardedAgent> {
  await using scope = new AsyncDisposableStack();
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    open.add(client);
    client.once('close', () => open.delete(client));
    void serve(client, source);
  });
  server.maxConnections = MAX_CONVERSATIONS;
  // The address of a socket has at most 107 bytes, and the directory's path may be longer. Node
  // also removes the socket by this name.
  const fd = openSync(directory, O.DIRECTORY | O.CLOEXEC);
  scope.defer(() => closeSync(fd));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(`/proc/self/fd/${fd}/${NAME}`, () => resolve());
  });
  scope.defer(async () => {
    for (const client of open) client.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const socket = join(directory, NAME);
  fchownat(AT.FDCWD, socket, access.uid, access.gid);
  chmodSync(socket, access.mode & 0o777);
  const held = scope.move();
  return { socket, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Invalid or missing messages of a client end its own conversation only. */
async function serve(client: Socket, source: SshAgentSource): Promise<void> {
  await pipeline(
    client,
    (chunks: AsyncIterable<Uint8Array>) => served(chunks, source),
    client,
  ).catch(() => {});
}

/**
 * The first byte of a conversation tells what it is. Lengths of messages begin with a zero: an
 * agent hangs up at a message of 16 MiB. What begins otherwise means nothing to an agent, and is
 * passed on as it is.
 */
async function* served(
  chunks: AsyncIterable<Uint8Array>,
  source: SshAgentSource,
): AsyncGenerator<Uint8Array> {
  if (source.isRaw && source.pass) return yield* source.pass(chunks);
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) return;
  const all = continued(first.value, iterator);
  if (source.pass && first.value[0] !== 0) return yield* source.pass(all);
  using agent = source.connect();
  yield* answers(all, agent);
}

async function* continued(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

async function* answers(
  chunks: AsyncIterable<Uint8Array>,
  agent: SshAgentConnection,
): AsyncGenerator<Buffer> {
  for await (const request of messages(chunks)) yield string(await answer(request, agent));
}

async function answer(request: Buffer, agent: SshAgentConnection): Promise<Buffer> {
  if (request[0] !== MESSAGE.listKeys && request[0] !== MESSAGE.sign) return FAILURE;
  return await agent.ask(request).catch(() => FAILURE);
}
