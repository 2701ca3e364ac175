import { KilnError } from '../../base/errors.ts';
import { formatReference, parseReference } from '../../base/reference.ts';
import { bytes } from '../../base/units.ts';
import { findImage, shownName } from '../../images/find-image.ts';
import { imageForPlatform } from '../../images/for-platform.ts';
import { pullImage } from '../../images/pull.ts';
import { pushStored } from '../../images/push-stored.ts';
import type { TransferReport } from '../../images/transfer-report.ts';
import { authHeader } from '../client/auth-headers.ts';
import { registryFor } from '../client/registry-for.ts';
import type { DockerHost } from '../docker-host.ts';
import { type JsonStream, streaming } from '../http/answers.ts';
import type { Handler } from '../http/docker-request.ts';
import { platformParameter } from '../http/platform-parameter.ts';
import { joinedName } from './image-about.ts';
import { idAndName } from './image-archives.ts';
import { importImage } from './image-import.ts';

/** `POST /images/create`: pulls `fromImage`, or makes an image of the archive `fromSrc`. */
export function createImage(host: DockerHost): Handler {
  return async (request, response) => {
    const { query } = request;
    if (query.has('fromSrc')) return await importImage(host, request, response);
    const name = joinedName(query.get('fromImage') ?? '', query.get('tag') ?? '');
    const reference = parseReference(name);
    const platform = platformParameter(query.get('platform'));
    const credentials = authHeader(request.headers['x-registry-auth'], reference.domain);
    await streaming(response, async (stream) => {
      const { engine, events } = host;
      using _use = engine.begin();
      stream.write({ status: `Pulling from ${reference.path}`, id: reference.tag ?? 'latest' });
      const before = engine.images.get(formatReference(reference));
      const image = await pullImage(engine, name, {
        platform,
        registry: await registryFor(host, credentials),
        signal: request.signal,
        report: shown(stream, 'Downloading', 'Download complete'),
      });
      stream.write({ status: `Digest: ${image.target.digest}` });
      const isNewer = before?.target.digest !== image.target.digest;
      const what = isNewer ? 'Downloaded newer image' : 'Image is up to date';
      stream.write({ status: `Status: ${what} for ${shownName(image.name)}` });
      events.add({ ...idAndName(image), action: 'pull' });
    });
  };
}

/** `POST /images/{name}/push?tag=…` */
export function pushImageTo(host: DockerHost): Handler {
  return async ({ params: [repo = ''], query, headers, signal }, response) => {
    const name = joinedName(repo, query.get('tag') ?? '');
    const { engine, events } = host;
    const reference = parseReference(name);
    const platform = platformParameter(query.get('platform'));
    const image = imageForPlatform(engine.content, findImage(engine.images, name), platform);
    const credentials = authHeader(headers['x-registry-auth'], reference.domain);
    if (reference.digest)
      throw new KilnError('KILN_REFERENCE_INVALID', 'a push cannot name a digest', { exitCode: 2 });
    await streaming(response, async (stream) => {
      using _use = engine.begin();
      stream.write({
        status: `The push refers to repository [${reference.domain}/${reference.path}]`,
      });
      const digest = await pushStored(engine, image, formatReference(reference), {
        registry: await registryFor(host, credentials),
        signal,
        report: shown(stream, 'Pushing', 'Pushed'),
      });
      const tag = reference.tag ?? 'latest';
      const { size } = image.target;
      stream.write({ status: `${tag}: digest: ${digest} size: ${size}` });
      stream.write({ progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: size } });
      events.add({ ...idAndName(image), action: 'push' });
    });
  };
}

/** Shows the parts of a transfer as Docker's clients draw them: a bar for each id. */
function shown(stream: JsonStream, during: string, after: string): TransferReport {
  const ended = new Set<string>();
  return ({ id, current, total }) => {
    if (ended.has(id)) return;
    const short = id.replace(/^.*sha256:/, '').slice(0, 12);
    const isWhole = total > 0 && current >= total;
    if (isWhole) ended.add(id);
    stream.write({
      status: isWhole ? after : during,
      progressDetail: isWhole ? {} : { current, total },
      ...(!isWhole && total > 0 && { progress: `${bytes(current)}/${bytes(total)}` }),
      id: short,
    });
  };
}
