import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { O } from '../snapshotter/sys/constants.ts';
import { bind, check } from '../snapshotter/sys/native.ts';

/**
 * Real pipes for a child's stdio. For `stdio: 'pipe'` Node makes sockets. A socket cannot be opened
 * again through /dev/stdout, which is what `echo >/dev/stdout` in a RUN does.
 */

const pipe2 = bind('int pipe2(void *, int)');
const pair = Buffer.alloc(8);

/** Makes a pipe. Both ends close on exec and belong to the caller. */
export function makePipe(): { readonly read: number; readonly write: number } {
  check(pipe2(pair, O.CLOEXEC), 'pipe2');
  return { read: pair.readInt32LE(0), write: pair.readInt32LE(4) };
}

/**
 * Calls `onData` with each chunk that arrives, in order. Resolves when every writer is gone. Takes
 * ownership of the descriptor.
 */
export function drain(fd: number, onData: (chunk: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new Socket({ fd, readable: true, writable: false });
    socket.on('data', onData);
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}

/**
 * Writes `bytes` and closes. A reader that closes early is not an error. Takes ownership of the
 * descriptor.
 */
export function feed(fd: number, bytes: Uint8Array): void {
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => socket.destroy());
  socket.end(bytes);
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd);
}
