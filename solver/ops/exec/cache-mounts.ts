import {
  type CacheLease,
  type CacheRequest,
  type CacheSharing,
  cacheName,
} from '../../../cache/mounts.ts';
import { enumName } from '../../llb/enums.ts';
import { CACHE_SHARING, MOUNT_TYPE, type Mount } from '../../llb/mount.ts';
import { cacheBase } from './cache-base.ts';
import { copySubtree } from './copy-subtree.ts';
import { bindInside } from './mount-trees.ts';
import type { OpenedMount, Opening } from './opening.ts';

/** The sharing modes, from the least to the most restrictive. */
const STRICT: readonly CacheSharing[] = ['shared', 'locked', 'private'];

/**
 * Leases all caches of the step. All steps lease in the same order, so that two steps never wait
 * for each other. If a cache is mounted twice, the more restrictive sharing counts.
 */
export async function leaseCaches(mounts: readonly Mount[], opening: Opening): Promise<void> {
  const { scope, world, signal } = opening;
  const requests = await Promise.all(
    mounts
      .filter(({ mountType }) => mountType === MOUNT_TYPE.cache)
      .map(async (mount) => {
        const request = await requestOf(mount, opening);
        return { mount, request, name: cacheName(request) };
      }),
  );
  const strict = (request: CacheRequest) => STRICT.indexOf(request.sharing);
  const leases = new Map<string, CacheLease>();
  for (const { mount, request, name } of requests.sort(
    (a, b) => compare(a.name, b.name) || strict(b.request) - strict(a.request),
  )) {
    const lease = leases.get(name) ?? scope.use(await world.caches.lease(request, signal));
    leases.set(name, lease);
    opening.caches.set(mount, lease);
  }
}

async function requestOf(mount: Mount, opening: Opening): Promise<CacheRequest> {
  const { inputs, command, world, session, signal, fresh } = opening;
  const base = mount.input === -1 ? undefined : inputs[mount.input];
  return {
    id: mount.cache?.id ?? mount.dest,
    sharing: enumName(CACHE_SHARING, mount.cache?.sharing ?? CACHE_SHARING.shared) ?? 'shared',
    base: base === undefined ? '' : await cacheBase(base, world, session, signal),
    step: command,
    ...(fresh && { emptied: session.emptiedCaches }),
    fill: async (directory) => {
      if (base) await copySubtree(base, '/', directory, opening);
    },
  };
}

/** Opens a cache that `leaseCaches` has leased. */
export function openCache(mount: Mount, opening: Opening): OpenedMount {
  const { directory } = opening.caches.get(mount)!;
  return { spec: bindInside(mount, directory, mount.selector || '/', opening) };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
