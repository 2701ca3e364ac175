import { parseReference } from '../../base/reference.ts';
import { descriptorDocument } from '../../exporter/image-documents.ts';
import { describeImage } from '../../images/describe.ts';
import { findImage, fullName, isUntagged } from '../../images/find-image.ts';
import { imageForPlatform } from '../../images/for-platform.ts';
import { readImage } from '../../images/read.ts';
import { sizesOfLayers } from '../../images/sizes.ts';
import type { DockerHost } from '../docker-host.ts';
import { empty, json } from '../http/answers.ts';
import { type Handler, isSet } from '../http/docker-request.ts';
import { platformParameter } from '../http/platform-parameter.ts';
import { repositoryDigests } from './image-list.ts';
import { manifestSummaries } from './manifest-summaries.ts';

/** `GET /images/{name}/json`, with all manifests of the image if `manifests` is set. */
export function inspectImage({ engine }: DockerHost): Handler {
  return async ({ params: [name = ''], query }, response) => {
    const found = findImage(engine.images, name);
    const platform = platformParameter(query.get('platform'));
    const image = imageForPlatform(engine.content, found, platform);
    const names = engine.images
      .list()
      .filter(({ target }) => target.digest === found.target.digest)
      .flatMap(({ name: other }) => (isUntagged(other) ? [] : [other]));
    const {
      Manifest: _,
      Layers: __,
      Platforms: ___,
      CompressedSize: compressed,
      ...about
    } = await describeImage(engine, image);
    json(response, {
      ...about,
      Id: image.target.digest,
      RepoDigests: repositoryDigests(names, image.target.digest),
      Parent: '',
      Comment: '',
      DockerVersion: '',
      Author: about.Author ?? '',
      Size: about.Size ?? compressed ?? 0,
      Descriptor: descriptorDocument(image.target),
      ...(isSet(query, 'manifests') && {
        Manifests: await manifestSummaries(engine, found.target),
      }),
      GraphDriver: { Data: null, Name: 'overlayfs' },
      Metadata: { LastTagTime: new Date(image.created).toISOString() },
    });
  };
}

/** `GET /images/{name}/history`: newest first. */
export function imageHistory({ engine }: DockerHost): Handler {
  return async ({ params: [name = ''], query }, response) => {
    const found = findImage(engine.images, name);
    const platform = platformParameter(query.get('platform'));
    const image = imageForPlatform(engine.content, found, platform);
    const { manifest, config } = readImage(engine.content, image.target);
    const layers = (await sizesOfLayers(engine, { manifest, config }))[Symbol.iterator]();
    const next = () => {
      const { unpacked, compressed } = layers.next().value ?? {};
      return unpacked ?? compressed ?? 0;
    };
    const entries = (config.history ?? []).map((entry) => ({
      Id: '<missing>',
      Created: entry.created ? Math.floor(Date.parse(entry.created) / 1000) : 0,
      CreatedBy: entry.created_by ?? '',
      Tags: null as string[] | null,
      Size: entry.empty_layer ? 0 : next(),
      Comment: entry.comment ?? '',
    }));
    const [newest] = entries.reverse();
    if (newest) {
      newest.Id = image.target.digest;
      const { RepoTags } = await describeImage(engine, found);
      newest.Tags = RepoTags.length > 0 ? RepoTags : null;
    }
    json(response, entries);
  };
}

/** `POST /images/{name}/tag?repo=…&tag=…` */
export function tagImage({ engine, events }: DockerHost): Handler {
  return async ({ params: [name = ''], query }, response) => {
    const image = findImage(engine.images, name);
    const target = joinedName(query.get('repo') ?? '', query.get('tag') ?? '');
    engine.images.put({ ...image, name: fullName(target) });
    events.add({ action: 'tag', id: image.target.digest, name: target });
    empty(response, 201);
  };
}

/**
 * The name of `repo` and `tag` as clients give them. `tag` may be a digest, and `repo` may have a
 * tag of its own. Throws KILN_REFERENCE_INVALID.
 */
export function joinedName(repo: string, tag: string): string {
  if (tag === '') return repo;
  const name = /^\w+:[0-9a-f]{32,}$/i.test(tag) ? `${repo}@${tag}` : `${repo}:${tag}`;
  const reference = parseReference(repo);
  return reference.digest !== undefined || /:[^/]+$/.test(repo) ? repo : name;
}
