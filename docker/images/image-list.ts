import { nameOf, parseReference } from '../../base/reference.ts';
import type { Engine } from '../../builder/engine.ts';
import { descriptorDocument } from '../../exporter/image-documents.ts';
import { findImage, isUntagged, shownName } from '../../images/find-image.ts';
import { readImage } from '../../images/read.ts';
import { sizesOfLayers, totalSizes } from '../../images/sizes.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import type { DockerHost } from '../docker-host.ts';
import { json } from '../http/answers.ts';
import { type Handler, isSet } from '../http/docker-request.ts';
import {
  booleanFilter,
  type Filters,
  hasLabels,
  readFilters,
  untilFilter,
} from '../http/filters.ts';
import { manifestSummaries } from './manifest-summaries.ts';

const FILTERS = ['dangling', 'reference', 'label', 'before', 'since', 'until'];

/**
 * An image as a list of Docker's API shows it. Its ID is the digest of its manifest or index, as in
 * an engine that keeps images with all their platforms: buildx is told the same.
 */
export interface ImageSummary {
  readonly Id: string;
  readonly ParentId: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  /** Seconds since 1970. */
  readonly Created: number;
  readonly Size: number;
  readonly SharedSize: number;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Containers: number;
  readonly Descriptor: object;
}

/** `GET /images/json`, each with all of its manifests if `manifests` is set. */
export function listImages({ engine }: DockerHost): Handler {
  return async ({ query }, response) => {
    // Clients of old versions give a name in a parameter of its own.
    const name = query.get('filter');
    const given = readFilters(query, FILTERS);
    const filters = name ? new Map([...given, ['reference', [name]]]) : given;
    const images = await summaries(engine, filters);
    if (!isSet(query, 'manifests')) return json(response, images);
    const withManifests = images.map(async (image) => ({
      ...image,
      Manifests: await manifestSummaries(engine, findImage(engine.images, image.Id).target),
    }));
    json(response, await Promise.all(withManifests));
  };
}

/**
 * The images of the store, newest first, each with all of its names. As with Docker, an image
 * without a name is shown unless another one has been built on it. Kiln keeps none of those, so
 * the parameter `all` changes nothing.
 */
export async function summaries(engine: Engine, filters: Filters): Promise<ImageSummary[]> {
  const groups = Map.groupBy(engine.images.list(), ({ target }) => target.digest);
  const isWanted = await wantedBy(engine, filters);
  const all = await Promise.all([...groups.values()].map((images) => summaryOf(engine, images)));
  return all
    .filter((summary) => summary !== undefined)
    .filter(isWanted)
    .sort((a, b) => b.Created - a.Created);
}

async function summaryOf(
  engine: Engine,
  images: readonly StoredImage[],
): Promise<ImageSummary | undefined> {
  const [image] = images;
  if (!image) return undefined;
  const names = images.filter(({ name }) => !isUntagged(name)).map(({ name }) => name);
  const read = documents(engine, image);
  const config = read?.config;
  const sizes = read && totalSizes(await sizesOfLayers(engine, read));
  const created = config?.created ? Date.parse(config.created) : image.created;
  return {
    Id: image.target.digest,
    ParentId: '',
    RepoTags: names.map(shownName),
    RepoDigests: repositoryDigests(names, image.target.digest),
    Created: Math.floor((Number.isNaN(created) ? image.created : created) / 1000),
    Size: sizes?.unpacked ?? sizes?.compressed ?? 0,
    SharedSize: -1,
    Labels: config?.config?.Labels ?? {},
    Containers: -1,
    Descriptor: descriptorDocument(image.target),
  };
}

/** The documents of an image, unless they are not all there. Such an image is still listed. */
function documents(engine: Engine, image: StoredImage) {
  try {
    return readImage(engine.content, image.target);
  } catch {
    return undefined;
  }
}

/** `NAME@DIGEST` for each repository in which the image has a name. */
export function repositoryDigests(names: readonly string[], digest: string): string[] {
  const repositories = names.map((name) => {
    const { domain, path } = parseReference(name);
    return shownName(nameOf({ domain, path, tag: 'latest' })).replace(/:latest$/, '');
  });
  return [...new Set(repositories)].map((name) => `${name}@${digest}`);
}

async function wantedBy(
  engine: Engine,
  filters: Filters,
): Promise<(image: ImageSummary) => boolean> {
  const dangling = booleanFilter(filters, 'dangling');
  const references = (filters.get('reference') ?? []).map(patternOf);
  const labels = filters.get('label') ?? [];
  const createdOf = (key: string) =>
    Promise.all((filters.get(key) ?? []).map((text) => momentOfImage(engine, text)));
  const before = await createdOf('before');
  const since = await createdOf('since');
  const until = untilFilter(filters);
  return (image) =>
    (dangling === undefined || dangling === (image.RepoTags.length === 0)) &&
    (references.length === 0 ||
      references.some((matches) => [...image.RepoTags, ...image.RepoDigests].some(matches))) &&
    hasLabels(image.Labels, labels) &&
    before.every((moment) => image.Created < moment) &&
    since.every((moment) => image.Created > moment) &&
    (until === undefined || image.Created * 1000 <= until);
}

async function momentOfImage(engine: Engine, text: string): Promise<number> {
  const found = findImage(engine.images, text);
  return (await summaryOf(engine, [found]))?.Created ?? 0;
}

/** A pattern of names: `*` stands for all but a slash. Without a tag it means all tags. */
function patternOf(pattern: string): (name: string) => boolean {
  const source = pattern
    .split(/([*?])/)
    .map((part) =>
      part === '*' ? '[^/]*' : part === '?' ? '[^/]' : part.replace(/[.+^${}()|[\]\\]/g, '\\$&'),
    )
    .join('');
  const whole = new RegExp(`^(?:${source})$`);
  return (name) => whole.test(name) || whole.test(name.replace(/[:@][^/]*$/, ''));
}
