import type { Digest } from '../base/digest.ts';
import type { ApiRequest } from './exchange.ts';
import { discard, type HttpResponse, header } from './transport.ts';
import { type UploadTarget, uploadLocation, uploadScopes, withDigest } from './upload.ts';

/** A blob that is still being made. */
export interface GrowingSource {
  /** Its bytes as they are made. Called again when a request has to be repeated. */
  readonly open: () => AsyncIterable<Uint8Array>;
  /** Resolves when the bytes have ended. */
  readonly digest: Promise<Digest>;
}

/** How long, in milliseconds, to wait for the registry to forget an upload that is given up. */
const FORGET_MS = 5_000;

/**
 * Sends a blob while it is made, as `docker push` does: POST, one PATCH of unknown length, and a
 * PUT with the digest (distribution-spec, Push). Nothing is tried again: whoever calls has the
 * whole blob later, and can send it then. After a failure, or when the signal aborts, the registry
 * is asked to forget the upload.
 */
export async function uploadGrowing(
  target: UploadTarget,
  source: GrowingSource,
  signal: AbortSignal,
): Promise<void> {
  const send = async (
    request: Pick<ApiRequest, 'method' | 'path' | 'accept'> & Partial<ApiRequest>,
  ): Promise<HttpResponse> => {
    const response = await target.exchange.send({
      endpoint: target.endpoint,
      scopes: uploadScopes(target),
      subject: { what: 'upload of a blob that is being made', kind: 'upload' },
      signal,
      ...request,
    });
    await discard(response);
    return response;
  };
  const begun = await send({
    method: 'POST',
    path: `/${target.repository.path}/blobs/uploads/`,
    headers: { 'content-length': '0' },
    accept: [202],
  });
  const location = uploadLocation(begun);
  try {
    const sent = await send({
      method: 'PATCH',
      path: location,
      headers: { 'content-type': 'application/octet-stream' },
      body: source.open,
      accept: [202],
    });
    const digest = await source.digest;
    await send({
      method: 'PUT',
      path: withDigest(
        header(sent, 'location') === undefined ? location : uploadLocation(sent),
        digest,
      ),
      headers: { 'content-length': '0' },
      body: new Uint8Array(0),
      accept: [201, 204],
    });
  } catch (error) {
    // Otherwise the registry would keep what it got for days. Not every registry can.
    await send({
      method: 'DELETE',
      path: location,
      accept: [200, 202, 204, 404, 405],
      signal: AbortSignal.timeout(FORGET_MS),
    }).catch(() => undefined);
    throw error;
  }
}
