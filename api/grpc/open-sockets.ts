import type { Server, Socket } from 'node:net';

/** How long the last answers may take when a server ends, in milliseconds. */
const CLOSING_MS = 500;

/** The connections of a server, those included whose handshake has not ended. */
export interface OpenSockets {
  /**
   * Ends the server: it takes no more connections. `begin` ends those that wait for nothing. Those
   * that are left get half a second for their last answers, and are destroyed.
   */
  end(begin: () => void): Promise<void>;
}

/** To be called before the server listens. `opened` is called with each connection. */
export function watchSockets(
  server: Server,
  opened: (socket: Socket) => void = () => {},
): OpenSockets {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    opened(socket);
  });
  return {
    async end(begin) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      begin();
      const late = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, CLOSING_MS);
      await closed;
      clearTimeout(late);
    },
  };
}
