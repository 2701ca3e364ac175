import { KilnError } from '../../../base/errors.ts';
import type { HttpResponse } from '../../../registry/transport.ts';
import type { StepSession } from '../../step-session.ts';

/** The host in the URLs of what a client uploads, as with BuildKit. No server has this name. */
export const UPLOADS = 'buildkit-session';

/** An upload is held in memory. */
const MAX_BYTES = 1 << 30;

/** What the client uploads at `url`, as an answer of a server. Rejects with KILN_HTTP_BODY. */
export async function uploaded(
  url: URL,
  upload: NonNullable<StepSession['upload']>,
): Promise<HttpResponse> {
  const bytes = await upload(url.href, MAX_BYTES);
  if (bytes === undefined)
    throw new KilnError('KILN_HTTP_BODY', 'the client uploads more than 1 GiB');
  const body = {
    async *[Symbol.asyncIterator]() {
      yield bytes;
    },
    dump: async () => {},
  };
  return { status: 200, headers: { 'content-length': String(bytes.byteLength) }, body, url };
}
