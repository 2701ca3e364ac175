import { prune, survey } from '../../cache/gc/collect.ts';
import type { Item } from '../../cache/gc/item.ts';
import { isBuildCache } from '../../cache/gc/others.ts';
import { NO_LIMITS } from '../../cache/gc/policy.ts';
import type { DockerHost } from '../docker-host.ts';
import { json } from '../http/answers.ts';
import { type Handler, isSet } from '../http/docker-request.ts';
import { booleanFilter, readFilters, untilFilter } from '../http/filters.ts';
import { summaries } from '../images/image-list.ts';

/** `GET /system/df` */
export function spaceUsed({ engine }: DockerHost): Handler {
  return async ({ query }, response) => {
    const types = query.getAll('type');
    const has = (type: string) => types.length === 0 || types.includes(type);
    const items = survey(engine);
    const cache = items.filter(isBuildCache);
    const images = await summaries(engine, new Map());
    json(response, {
      LayersSize: items.reduce((sum, { size }) => sum + size, 0),
      Images: has('image') ? images : null,
      Containers: has('container') ? [] : null,
      Volumes: has('volume') ? [] : null,
      BuildCache: has('build-cache') ? cache.map(record) : null,
      BuilderSize: cache.reduce((sum, { size }) => sum + size, 0),
    });
  };
}

function record(item: Item): object {
  return {
    ID: item.id,
    Parents: [...item.parents],
    Type: item.type,
    Description: item.description,
    InUse: item.inUse,
    Shared: item.shared,
    Size: Math.floor(item.size),
    CreatedAt: new Date(item.created).toISOString(),
    LastUsedAt: new Date(item.used).toISOString(),
    UsageCount: 1,
  };
}

const FILTERS = ['until', 'unused-for', 'id', 'parent', 'type', 'description', 'inuse', 'shared'];

/** `POST /build/prune`: removes cache, with `all` also what an image in use was built from. */
export function pruneBuilds({ engine }: DockerHost): Handler {
  return async ({ query, signal }, response) => {
    using _use = engine.begin();
    const filters = readFilters(query, [...FILTERS, 'private']);
    const [type, id, description] = ['type', 'id', 'description'].map((key) => filters.get(key));
    const [inUse, shared] = ['inuse', 'shared'].map((key) => booleanFilter(filters, key));
    const until = untilFilter(filters) ?? untilFilter(filters, 'unused-for');
    const number = (name: string) => Number(query.get(name) ?? 0) || 0;
    const policy = {
      name: '',
      filter: (item: Item) =>
        isBuildCache(item) &&
        (type?.includes(item.type) ?? true) &&
        (id?.some((one) => item.id.startsWith(one)) ?? true) &&
        (description?.some((one) => item.description.includes(one)) ?? true) &&
        (inUse ?? item.inUse) === item.inUse &&
        (shared ?? item.shared) === item.shared,
      ...NO_LIMITS,
      all: isSet(query, 'all'),
      keepMs: until === undefined ? 0 : Math.max(0, Date.now() - until),
      reserved: number('reserved-space') || number('keep-storage'),
      maxUsed: number('max-used-space'),
      minFree: number('min-free-space'),
    };
    const removed = await prune(engine, [policy], signal);
    json(response, {
      CachesDeleted: removed.map(({ item }) => item.id),
      SpaceReclaimed: Math.floor(removed.reduce((sum, { item }) => sum + item.size, 0)),
    });
  };
}
