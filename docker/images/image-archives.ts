import { createWriteStream, rmSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { KilnError } from '../../base/errors.ts';
import { loadArchive } from '../../exporter/load-archive.ts';
import { saveImages } from '../../exporter/save.ts';
import { findImage, shownName } from '../../images/find-image.ts';
import { imageForPlatform } from '../../images/for-platform.ts';
import { readAllPlatforms } from '../../images/read.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import type { DockerHost } from '../docker-host.ts';
import { type JsonStream, streaming } from '../http/answers.ts';
import { sinkOf } from '../http/bodies.ts';
import { type Handler, isSet } from '../http/docker-request.ts';
import { FreeSpace } from '../http/free-space.ts';
import { platformParameter } from '../http/platform-parameter.ts';

/** `GET /images/{name}/get` */
export function saveImage(host: DockerHost): Handler {
  return async ({ params, query, signal }, response) =>
    await save(host, params, query, response, signal);
}

/** `GET /images/get?names=…&names=…` */
export function saveNamed(host: DockerHost): Handler {
  return async ({ query, signal }, response) => {
    const names = query.getAll('names').flatMap((value) => value.split(','));
    if (names.length === 0)
      throw new KilnError('KILN_REQUEST_INVALID', 'no image is named', {
        hint: 'give names=IMAGE',
        exitCode: 2,
      });
    await save(host, names, query, response, signal);
  };
}

async function save(
  { engine, events }: DockerHost,
  names: readonly string[],
  query: URLSearchParams,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  using _use = engine.begin();
  const platform = platformParameter(query.get('platform'));
  const images = names.map((name) =>
    imageForPlatform(engine.content, findImage(engine.images, name), platform),
  );
  response.writeHead(200, { 'content-type': 'application/x-tar' });
  await saveImages(engine, images, { kind: 'stream', ...sinkOf(response) }, { signal });
  response.end();
  for (const image of images) events.add({ ...idAndName(image), action: 'save' });
}

/** `POST /images/load` */
export function loadImages({ engine, events }: DockerHost): Handler {
  return async ({ body, query, signal }, response) => {
    using _use = engine.begin();
    const path = engine.store.scratchPath('load');
    try {
      const space = new FreeSpace(dirname(path), 'the archive that the client sends');
      await pipeline(space.of(body), createWriteStream(path, { mode: 0o600 }), { signal });
      if (statSync(path).size === 0)
        throw new KilnError('KILN_ARCHIVE_INVALID', 'the request has no archive', { exitCode: 2 });
      await streaming(response, async (stream) => {
        const loaded = await loadArchive(engine, path, {
          signal,
          ...(!isSet(query, 'quiet') && { progress: shownIn(stream) }),
        });
        for (const { names, target } of loaded) {
          for (const name of names) stream.write({ stream: `Loaded image: ${shownName(name)}\n` });
          if (names.length === 0) {
            const configs = readAllPlatforms(engine.content, target).map(
              ({ manifest }) => manifest.config.digest,
            );
            engine.images.put({ name: target.digest, target, configs, created: Date.now() });
            stream.write({ stream: `Loaded image ID: ${target.digest}\n` });
          }
          events.add({ action: 'load', id: target.digest, name: names[0] ?? target.digest });
        }
      });
    } finally {
      rmSync(path, { force: true });
    }
  };
}

function shownIn(stream: JsonStream): (blob: string, current: number, total: number) => void {
  return (blob, current, total) =>
    stream.write({
      status: 'Loading layer',
      progressDetail: { current, total },
      id: blob.replace(/^sha256:/, '').slice(0, 12),
    });
}

export function idAndName(image: StoredImage): { readonly id: string; readonly name: string } {
  return { id: image.target.digest, name: shownName(image.name) };
}
