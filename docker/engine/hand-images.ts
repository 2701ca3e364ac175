import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { KilnError } from '../../base/errors.ts';
import { saveImages } from '../../exporter/save.ts';
import { identifyImage } from '../../images/find-image.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import type { DockerHost } from '../docker-host.ts';
import { documentOf, sinkOf } from '../http/bodies.ts';
import { engineLost } from './no-engine.ts';
import type { Preparing } from './pass-on.ts';

/**
 * Before a container is made from an image that only Kiln has, or has anew, the image is loaded
 * into the engine. So a build by way of this socket can be run there at once.
 */
export function handImages(host: DockerHost, socketPath: string): Preparing {
  const handed = new Map<string, string>();
  return async (request, signal) => {
    const isCreate = /^(\/v[\d.]+)?\/containers\/create(\?|$)/.test(request.url ?? '');
    if (request.method !== 'POST' || !isCreate) return undefined;
    const body = await documentOf(request);
    const image = imageOf(host, body);
    if (image && handed.get(image.name) !== image.target.digest) {
      await load(host, socketPath, image, signal);
      handed.set(image.name, image.target.digest);
    }
    return body;
  };
}

function imageOf({ engine }: DockerHost, body: Buffer): StoredImage | undefined {
  try {
    const { Image } = JSON.parse(body.toString()) as { Image?: unknown };
    return typeof Image === 'string' ? identifyImage(engine.images, Image).image : undefined;
  } catch {
    // The engine says what is wrong with the request, or has the image itself.
    return undefined;
  }
}

async function load(
  { engine }: DockerHost,
  socketPath: string,
  image: StoredImage,
  signal: AbortSignal,
): Promise<void> {
  using _use = engine.begin();
  const out = httpRequest({
    socketPath,
    method: 'POST',
    path: '/images/load?quiet=1',
    headers: { 'content-type': 'application/x-tar', host: 'docker' },
    signal,
  });
  const answered = once(out, 'response') as Promise<[IncomingMessage]>;
  answered.catch(() => {});
  try {
    await saveImages(engine, [image], { kind: 'stream', ...sinkOf(out) }, { signal });
    out.end();
    const [answer] = await answered;
    await textOf(answer);
  } catch (error) {
    out.destroy();
    throw error instanceof KilnError ? error : engineLost(socketPath, error);
  }
}
