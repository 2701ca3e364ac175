import type { IncomingMessage } from 'node:http';
import { KilnError } from '../../base/errors.ts';

/** A document in a request is short. */
const MAX_BODY = 4 << 20;

/** Reads a body that is a JSON object. Throws KILN_REQUEST_INVALID. */
export async function jsonBody(body: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of body as AsyncIterable<Buffer>) {
    size += piece.byteLength;
    if (size > MAX_BODY) throw invalid('it is too long');
    pieces.push(piece);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(pieces).toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below.
  }
  throw invalid('it is not a JSON object');
}

function invalid(why: string): KilnError {
  return new KilnError('KILN_REQUEST_INVALID', `the body of the request is not valid: ${why}`, {
    exitCode: 2,
  });
}
