import type { Socket } from 'node:net';

/** How long a connection stays open for what its client still sends, in milliseconds. */
const LINGER_MS = 5_000;

/**
 * Lets a client that is still sending read its answer. A connection that is closed at once fails
 * the client's next write, and many clients look no further. So the connection ends on this side
 * first (RFC 9112, section 9.6), and what still comes is thrown away until the client has closed
 * it, too, for `most` milliseconds at the most.
 */
export function lingerOnClose(socket: Socket, most = LINGER_MS): void {
  socket.destroySoon = () => {
    if (socket.destroyed) return;
    if (socket.writable) socket.end();
    socket.resume();
    const late = setTimeout(() => socket.destroy(), most);
    socket.once('close', () => clearTimeout(late));
  };
}
