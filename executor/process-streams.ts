import { openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { LentStreams } from './executor.ts';
import { closeAll, makePipe } from './pipes.ts';

/**
 * # The streams of a process whose user is somewhere else
 *
 * `lent` goes to the executor. The other end is read and written here, no faster than the user
 * reads and the process takes. `pipeStreams` makes pipes; `terminalStreams` makes a terminal.
 */
export interface ProcessStreams extends Disposable {
  readonly lent: LentStreams;
  /** What the process writes, by the number of the stream. Each is to be read to its end. */
  readonly outputs: readonly (readonly [stream: 1 | 2, bytes: AsyncIterable<Uint8Array>])[];
  /** Settles when the bytes are on their way. Bytes that nobody will read are dropped. */
  write(bytes: Uint8Array): Promise<void>;
  /** The process finds the end of its input. */
  end(): void;
  /** Closes our copies of what was lent: the process has its own, or will never have them. */
  release(): void;
}

/** Pipes for the streams in `open`. The others are /dev/null. */
export function pipeStreams(open: ReadonlySet<number>): ProcessStreams {
  const lent: number[] = [];
  const readers: [1 | 2, Socket][] = [];
  let input: Socket | undefined;
  if (open.has(0)) {
    const { read, write } = makePipe();
    lent.push(read);
    input = new Socket({ fd: write, readable: false, writable: true });
    // A process need not read its input.
    input.on('error', () => input?.destroy());
  } else lent.push(openSync('/dev/null', 'r'));
  for (const stream of [1, 2] as const) {
    if (!open.has(stream)) {
      lent.push(openSync('/dev/null', 'w'));
      continue;
    }
    const { read, write } = makePipe();
    lent.push(write);
    readers.push([stream, new Socket({ fd: read, readable: true, writable: false })]);
  }
  const [stdin, stdout, stderr] = lent as [number, number, number];
  return {
    lent: { descriptors: [stdin, stdout, stderr], terminal: false, ownSession: true },
    outputs: readers.map(([stream, socket]) => [stream, untilClosed(socket)]),
    async write(bytes) {
      if (!input || input.destroyed) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      input.once('close', resolve);
      input.write(bytes, () => resolve());
      await promise;
      input.off('close', resolve);
    },
    end: () => void input?.end(),
    release: releaseOnce(lent),
    [Symbol.dispose]() {
      this.release();
      input?.destroy();
      for (const [, socket] of readers) socket.destroy();
    },
  };
}

/** The bytes until the end of the stream, or until it is closed. */
export async function* untilClosed(stream: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } catch {
    // Nothing more comes.
  }
}

/** A function that closes the descriptors at its first call. */
export function releaseOnce(descriptors: readonly number[]): () => void {
  let isReleased = false;
  return () => {
    if (isReleased) return;
    isReleased = true;
    closeAll(descriptors);
  };
}
