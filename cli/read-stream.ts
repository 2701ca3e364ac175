import { createReadStream, constants as FS, openSync, statSync } from 'node:fs';
import { addAbortSignal, type Readable } from 'node:stream';

/**
 * Returns all bytes of a stream, or undefined as soon as it has more than `max` bytes. `max` may be
 * a function of the first bytes (up to 1 KiB), because an archive may be longer than a text. Throws
 * the reason of `signal` when it is aborted, even while nothing writes to the stream.
 */
export async function readUpTo(
  stream: Readable,
  max: number | ((start: Buffer) => number),
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let total = 0;
  let limit = typeof max === 'number' ? max : undefined;
  try {
    for await (const chunk of addAbortSignal(signal, stream) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      total += chunk.length;
      if (total < START && limit === undefined) continue;
      limit ??= (max as (start: Buffer) => number)(Buffer.concat(chunks));
      // Leaving the loop closes the stream, so its writer ends, too.
      if (total > limit) return undefined;
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
  const all = Buffer.concat(chunks, total);
  limit ??= (max as (start: Buffer) => number)(all);
  return total > limit ? undefined : all;
}

const START = 1024;

/**
 * Reads a FIFO as `readUpTo` reads a stream. Opening it does not block until there is a writer, as
 * an ordinary open would.
 */
export async function readFifo(
  path: string,
  max: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  return await readUpTo(await fifoStream(path), max, signal);
}

/** The bytes of a file that a user names. Opening a FIFO does not block until there is a writer. */
export async function namedStream(path: string): Promise<Readable> {
  return statSync(path).isFIFO() ? await fifoStream(path) : createReadStream(path);
}

async function fifoStream(path: string): Promise<Readable> {
  const { Socket } = await import('node:net');
  const fd = openSync(path, FS.O_RDONLY | FS.O_NONBLOCK | FS.O_NOCTTY);
  return new Socket({ fd, readable: true, writable: false });
}
