import { KilnError } from '../../base/errors.ts';
import type { Session } from '../../builder/session.ts';
import { asBytes, readFields } from '../../solver/llb/wire.ts';
import type { ClientSession } from './client-session.ts';

export const PULL = '/moby.upload.v1.Upload/Pull';
/** In which a call names what it wants. */
const URL_HOST = 'urlhost';
export const URL_PATH = 'urlpath';
/** The least that is read before `max` is asked for the limit: the header of a tar archive. */
const START = 512;

/**
 * Reads what the client uploads at the address `url`, such as a context on its standard input. For
 * the limit `max` see `Session.input`. Throws KILN_REQUEST_UNSUPPORTED when it uploads nothing.
 */
export async function readUpload(
  session: ClientSession,
  url: string | undefined,
  max: Parameters<Session['input']>[0],
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  if (url === undefined || !session.supports(PULL))
    throw new KilnError('KILN_REQUEST_UNSUPPORTED', 'the client uploads no context');
  const { host, pathname } = new URL(url);
  const stop = new AbortController();
  using _ended = { [Symbol.dispose]: () => stop.abort() };
  const stream = session.client.stream(
    PULL,
    { [URL_HOST]: host, [URL_PATH]: pathname },
    AbortSignal.any([signal, stop.signal]),
  );
  stream.end();
  const pieces: Uint8Array[] = [];
  let length = 0;
  let limit: number | undefined;
  for await (const messages of stream.receive()) {
    for (const message of messages)
      for (const field of readFields(message))
        if (field.number === 1) {
          const data = asBytes(field);
          pieces.push(data);
          length += data.byteLength;
        }
    if (limit === undefined && length >= START) limit = limitOf(max, pieces);
    if (limit !== undefined && length > limit) return undefined;
  }
  return length > (limit ?? limitOf(max, pieces)) ? undefined : Buffer.concat(pieces, length);
}

function limitOf(max: Parameters<Session['input']>[0], pieces: readonly Uint8Array[]): number {
  return typeof max === 'number' ? max : max(Buffer.concat(pieces));
}
