import { AsyncLocalStorage } from 'node:async_hooks';
import type { Socket } from 'node:net';
import { connect, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node';

/** The sockets of an attempt to connect. Empty again when it has ended. */
interface Attempt {
  readonly sockets: Set<Socket>;
  isOver: boolean;
}

const attempts = new AsyncLocalStorage<Attempt>();
let isWatching = false;

/** Node tells of each new socket, and in whose name it is made. */
function watchSockets(): void {
  if (isWatching) return;
  isWatching = true;
  // The bundle has no other way to this module, because undici would load it.
  process.getBuiltinModule('node:diagnostics_channel').subscribe('net.client.socket', (message) => {
    const attempt = attempts.getStore();
    if (attempt && !attempt.isOver) attempt.sockets.add((message as { socket: Socket }).socket);
  });
}

/**
 * Connects to NATS. The client of NATS leaves a socket open when a server is silent, which would
 * keep the process from ending: it is closed here. Rejects with the error of the client.
 */
export async function connectNats(options: NodeConnectionOptions): Promise<NatsConnection> {
  watchSockets();
  const attempt: Attempt = { sockets: new Set(), isOver: false };
  try {
    return await attempts.run(attempt, () => connect(options));
  } catch (error) {
    for (const socket of attempt.sockets) socket.destroy();
    throw error;
  } finally {
    // Sockets of later connections are the client's own.
    attempt.isOver = true;
    attempt.sockets.clear();
  }
}
