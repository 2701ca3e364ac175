import { KilnError } from '../../base/errors.ts';
import { identifyImage, isUntagged, shownName } from '../../images/find-image.ts';
import { freeUnused } from '../../images/free-unused.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import type { DockerHost } from '../docker-host.ts';
import { json } from '../http/answers.ts';
import { type Handler, isSet } from '../http/docker-request.ts';
import { booleanFilter, hasLabels, readFilters } from '../http/filters.ts';
import { summaries } from './image-list.ts';

type Removed = { readonly Untagged: string } | { readonly Deleted: string };

/**
 * `DELETE /images/{name}?force=…`: removes a name, or by an ID the image. With several names an ID
 * needs `force`.
 */
export function removeImage(host: DockerHost): Handler {
  return async ({ params: [text = ''], query, signal }, response) => {
    const { engine } = host;
    using _use = engine.begin();
    const { image, by } = identifyImage(engine.images, text);
    const same = namesOf(host, image);
    const names = by === 'id' ? same : [image];
    if (by === 'id' && same.length > 1 && !isSet(query, 'force'))
      throw new KilnError(
        'KILN_IMAGE_AMBIGUOUS',
        `unable to delete ${text} (must be forced) - image is referenced in multiple repositories`,
        { exitCode: 2 },
      );
    json(response, await removeNames(host, names, signal));
  };
}

function namesOf({ engine }: DockerHost, { target }: StoredImage): StoredImage[] {
  return engine.images.list().filter((other) => other.target.digest === target.digest);
}

async function removeNames(
  host: DockerHost,
  images: readonly StoredImage[],
  signal: AbortSignal,
): Promise<Removed[]> {
  const { engine, events } = host;
  const nameless = new Set<string>();
  const removed: Removed[] = [];
  for (const image of images) {
    const id = image.target.digest;
    if (isUntagged(image.name)) nameless.add(image.name);
    else {
      engine.images.remove(image.name);
      const name = shownName(image.name);
      removed.push({ Untagged: name });
      events.add({ action: 'untag', id, name });
    }
    const isLast = namesOf(host, image).every(({ name }) => nameless.has(name));
    if (!isLast) continue;
    removed.push({ Deleted: id });
    events.add({ action: 'delete', id, name: id });
  }
  await freeUnused(engine, nameless, signal);
  return removed;
}

/** `POST /images/prune`: images without a name, or with `dangling=false` all images. */
export function removeUnusedImages(host: DockerHost): Handler {
  return async ({ query, signal }, response) => {
    const { engine } = host;
    const filters = readFilters(query, ['dangling', 'until', 'label', 'label!']);
    const onlyNameless = booleanFilter(filters, 'dangling') ?? true;
    const refused = filters.get('label!') ?? [];
    const all = await summaries(
      engine,
      new Map([...filters].filter(([key]) => key !== 'dangling')),
    );
    const chosen = all
      .filter((image) => !onlyNameless || image.RepoTags.length === 0)
      .filter(({ Labels }) => !refused.some((one) => hasLabels(Labels, [one])));
    const ids = new Set<string>(chosen.map(({ Id }) => Id));
    const images = engine.images.list().filter(({ target }) => ids.has(target.digest));
    const before = chosen.reduce((sum, { Size }) => sum + Size, 0);
    const removed = await removeNames(host, images, signal);
    json(response, {
      ImagesDeleted: removed.length > 0 ? removed : null,
      SpaceReclaimed: removed.length > 0 ? before : 0,
    });
  };
}
