import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { Readable, type TransformOptions, type Writable } from 'node:stream';
import { createGunzip, type ZlibOptions } from 'node:zlib';
import { KilnError } from '../../base/errors.ts';
import type { Compression } from '../content.ts';
import { Expansion } from './expansion.ts';
import { unzstd } from './zstd-frames.ts';

/** The size of the inflated pieces in bytes. Some are shorter. */
export const INFLATED_PIECE = 256 << 10;
/**
 * The size of the packed pieces in bytes. Some are read ahead: with 1 MiB a layer takes 20 MB more
 * memory.
 */
const PACKED_PIECE = 128 << 10;
/**
 * The number of pieces that are inflated ahead of the consumer, so that inflating continues while a
 * piece is unpacked.
 */
const READ_AHEAD = 2;

/**
 * The bytes of the tar in a blob: gzip, zstd or plain, recognised by the first bytes. With Node's
 * default of 16 KB for a piece gunzip takes more than twice as long. With 1 MiB it takes no less
 * than with 256 KiB, and a pull of Debian 20 MB more (2-core VM, 2026-11). A piece is
 * gone when the piece after the next one is asked for. `open` replaces the reading of the file. It
 * gets the size of the pieces that are wanted.
 */
export async function* inflate(
  blob: string,
  start: Uint8Array,
  expansion: Expansion = new Expansion('a layer'),
  open?: (piece: number) => Readable,
): AsyncGenerator<Buffer> {
  const isPlain = compressionBy(start) === 'uncompressed';
  const piece = isPlain ? INFLATED_PIECE : PACKED_PIECE;
  const file = open?.(piece) ?? createReadStream(blob, { highWaterMark: piece });
  const stream = opened(file, start);
  file.on('data', (chunk: Buffer) => expansion.packed(chunk.length));
  let last: Buffer | undefined;
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      expansion.unpacked(piece.length);
      yield piece;
      if (last) free(last, INFLATED_PIECE);
      last = piece;
    }
  } catch (error) {
    if (
      error instanceof Error &&
      'code' in error &&
      typeof error.code === 'string' &&
      /^(Z_|ZSTD_)/.test(error.code)
    ) {
      throw new KilnError(
        'KILN_LAYER_MALFORMED',
        `the compressed layer is damaged: ${error.message}`,
        { cause: error },
      );
    }
    throw error;
  } finally {
    file.destroy();
    stream.destroy();
  }
}

/**
 * Gives the memory of a piece back at once. The garbage collector lets 50 MB come together first.
 * Several pieces may be parts of one buffer: the last one ends with it.
 */
function free({ buffer, byteOffset, byteLength }: Buffer, size: number): void {
  // Shorter buffers may be Node's own, which it shares among all that ask.
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength < size) return;
  if (byteOffset + byteLength === buffer.byteLength) buffer.transfer(0);
}

/** The compression of a blob as `inflate` sees it: by its first bytes, whatever its media type. */
export function compressionIn(blob: string): Compression {
  return compressionBy(magicOf(blob));
}

function compressionBy(start: Uint8Array): Compression {
  const is = (...magic: number[]) => magic.every((byte, at) => start[at] === byte);
  if (is(0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  return is(0x1f, 0x8b) ? 'gzip' : 'uncompressed';
}

function opened(file: Readable, start: Uint8Array): Readable {
  const compression = compressionBy(start);
  if (compression === 'zstd')
    return Readable.from(unzstd(file as AsyncIterable<Buffer>, INFLATED_PIECE), {
      highWaterMark: 1,
    });
  if (compression === 'uncompressed') return file;
  const options: ZlibOptions & TransformOptions = {
    chunkSize: INFLATED_PIECE,
    readableHighWaterMark: READ_AHEAD * INFLATED_PIECE,
  };
  const decoder = createGunzip(options);
  void feed(file, decoder).catch((error: Error) => decoder.destroy(error));
  return decoder;
}

/** Writes all of a file into a decoder. A piece is given back when the decoder has read it. */
async function feed(file: Readable, decoder: Writable): Promise<void> {
  for await (const piece of file as AsyncIterable<Buffer>) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    decoder.write(piece, (error) => (error ? reject(error) : resolve()));
    await promise;
    free(piece, PACKED_PIECE);
  }
  decoder.end();
}

/** The first bytes of a blob, which show its compression. */
export function magicOf(blob: string): Uint8Array {
  const fd = openSync(blob, 'r');
  try {
    const bytes = Buffer.alloc(4);
    return bytes.subarray(0, readSync(fd, bytes, 0, 4, 0));
  } finally {
    closeSync(fd);
  }
}
