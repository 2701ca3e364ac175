import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import { KilnError } from '../../base/errors.ts';
import type { ByteSink } from '../../exporter/destination.ts';

/** A document in a request is short. */
const MAX_DOCUMENT = 4 << 20;

/** Reads a body that is a document. Throws KILN_REQUEST_INVALID when it is too long. */
export async function documentOf(body: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of body as AsyncIterable<Buffer>) {
    size += piece.byteLength;
    if (size > MAX_DOCUMENT) throw invalidBody('it is too long');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

export function invalidBody(why: string): KilnError {
  return new KilnError('KILN_REQUEST_INVALID', `the body of the request is not valid: ${why}`, {
    exitCode: 2,
  });
}

/** Takes the bytes of an archive for a stream of Node, as fast as its reader does. */
export function sinkOf(stream: Writable): ByteSink {
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
  };
}
