import type { Digest } from '../../base/digest.ts';
import type { FetchedFile, FetchedFiles } from '../../cache/fetched.ts';
import type { Fetcher, FetchRequest } from '../../registry/fetch.ts';
import { discard, type HttpResponse, header } from '../../registry/transport.ts';
import type { LayerId, Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { SourceOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { CacheMap, Op } from '../solver.ts';
import { byteStatus } from './byte-status.ts';
import type { Answer } from './http/answer.ts';
import { authorization } from './http/auth.ts';
import { fileName } from './http/file-name.ts';
import { type HttpSource, readHttpSource, requestId } from './http/http-source.ts';
import { receive } from './http/receive.ts';
import { UPLOADS, uploaded } from './http/uploaded.ts';
import { contextOfCacheMap, contextOfRun, type SourceContext } from './source-context.ts';

/** The services that http sources use. */
export interface SourceHttpWorld {
  readonly snapshotter: Snapshotter;
  readonly fetcher: Fetcher;
  readonly fetched: FetchedFiles;
}

/**
 * The op of an http source. With a checksum, its key needs no request. Otherwise the server is
 * asked whether the file has changed (If-None-Match, If-Modified-Since), and it is downloaded if it
 * has. As with BuildKit, the key is made of the file's bytes, name, attributes and time. Rejects
 * with KILN_HTTP_CHECKSUM or the errors of `Fetcher.get`.
 */
export function sourceHttpOp(op: SourceOp, world: SourceHttpWorld): Op<BuildResult> {
  const source = readHttpSource(op);
  const answer = async (context: SourceContext): Promise<Answer> => {
    const id = requestId(source);
    const { answers } = context.session.found;
    // An earlier failure has already been reported. A new request may succeed.
    const before = answers.get(id);
    const known = before && (await before.catch(() => undefined));
    if (known && (source.checksum === undefined || source.checksum === known.file.digest))
      return known;
    const requested = request(source, id, world, context);
    answers.set(id, requested);
    return await requested;
  };
  return {
    resource: 'network',
    async cacheMap(signal, report) {
      if (source.checksum !== undefined) {
        const filename = fileName(source.url, source.filename, undefined);
        return keyOf(source, { filename, digest: source.checksum });
      }
      return keyOf(source, (await answer(contextOfCacheMap(signal, report))).file);
    },
    async run(_inputs, context) {
      const { snapshot } = await answer(contextOfRun(context));
      world.snapshotter.touch(snapshot);
      return [{ kind: 'snapshot', snapshot }];
    },
  };
}

function keyOf(
  { mode, uid, gid }: HttpSource,
  { filename, digest, modified }: Answer['file'],
): CacheMap<BuildResult> {
  const parts = [
    { name: 'downloaded file', value: digest },
    { name: 'name of the downloaded file', value: filename },
    {
      name: 'mode and owner of the downloaded file',
      value: [mode.toString(8), uid, gid].join(' '),
    },
    // Last-Modified becomes the time of the file.
    { name: 'Last-Modified', value: modified ?? '' },
  ];
  return { parts, inputs: [], volatile: false };
}

async function request(
  source: HttpSource,
  id: Digest,
  world: SourceHttpWorld,
  context: SourceContext,
): Promise<Answer> {
  const { upload } = context.session;
  if (upload && source.url.host === UPLOADS)
    return await received(await uploaded(source.url, upload), source, world, context);
  const remembered = usable(world.fetched.find(id), source, world.snapshotter);
  if (remembered && source.checksum !== undefined) return remembered;
  const login = await authorization(source, context.session.secret);
  const headers = {
    // As BuildKit asks. What is compressed for the transfer alone is decompressed by `receive`.
    'accept-encoding': 'gzip',
    ...source.headers,
    ...(login !== undefined && { authorization: login }),
    ...validators(remembered),
  };
  const get: FetchRequest = { url: source.url, headers, signal: context.signal };
  if (remembered?.file.etag !== undefined && (await isUnchanged(get, remembered, world.fetcher)))
    return remembered;
  return await world.fetcher.get(get, async (response) => {
    if (remembered && isSame(response, remembered)) {
      await discard(response);
      return remembered;
    }
    const { file, snapshot } = await received(response, source, world, context);
    if (file.etag !== undefined || isStrong(response))
      world.fetched.save(id, { ...file, layers: snapshot.layers });
    return { file, snapshot };
  });
}

/** The file of a response, as the only one of a new layer. */
async function received(
  response: HttpResponse,
  source: HttpSource,
  world: SourceHttpWorld,
  context: SourceContext,
): Promise<Answer> {
  context.started();
  const filename = fileName(source.url, source.filename, header(response, 'content-disposition'));
  const { digest, snapshot } = await receive(
    response,
    source,
    filename,
    world.snapshotter,
    byteStatus(context, `downloading ${filename}`),
  );
  const [etag, modified] = [header(response, 'etag'), header(response, 'last-modified')];
  return { file: { digest, filename, etag, modified }, snapshot };
}

/**
 * Asks about a file that has an ETag without downloading it, as BuildKit does. A server that does
 * not answer such requests is asked again by GET.
 */
async function isUnchanged(
  request: FetchRequest,
  remembered: Answer,
  fetcher: Fetcher,
): Promise<boolean> {
  try {
    return await fetcher.get({ ...request, method: 'HEAD' }, async (response) => {
      await discard(response);
      return isSame(response, remembered);
    });
  } catch {
    request.signal.throwIfAborted();
    return false;
  }
}

/** The remembered file, if it has the wanted checksum and its layer is in the store. */
function usable(
  file: FetchedFile | undefined,
  { checksum }: HttpSource,
  snapshotter: Snapshotter,
): Answer | undefined {
  if (!file || (checksum !== undefined && checksum !== file.digest)) return undefined;
  const snapshot = { layers: file.layers as LayerId[] };
  return snapshotter.has(snapshot) ? { file, snapshot } : undefined;
}

/** The headers of a conditional request for a remembered file. */
function validators(remembered: Answer | undefined): Record<string, string> {
  const { etag, modified } = remembered?.file ?? {};
  if (etag !== undefined) return { 'if-none-match': etag };
  return modified === undefined ? {} : { 'if-modified-since': modified };
}

/**
 * True if the server says that the file is unchanged. A full response with the known ETag says so
 * too: some servers send ETags and ignore them in requests.
 */
function isSame(response: HttpResponse, { file }: Answer): boolean {
  if (response.status === 304) return true;
  const etag = header(response, 'etag');
  return etag !== undefined && file.etag !== undefined && opaque(etag) === opaque(file.etag);
}

function opaque(etag: string): string {
  return etag.replace(/^W\//, '');
}

/**
 * True if Last-Modified identifies the version. It counts in whole seconds, so it must be old
 * enough (RFC 9110, 8.8.2.2).
 */
function isStrong(response: HttpResponse): boolean {
  const modified = Date.parse(header(response, 'last-modified') ?? '');
  const date = Date.parse(header(response, 'date') ?? '');
  return date - modified >= 60_000;
}
