import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { digestOfParts, hexOf } from '../base/digest.ts';
import { withLockFile } from '../snapshotter/overlay/lockfile.ts';
import { tryLock } from '../snapshotter/sys/lock.ts';

/** How several steps share one cache mount (Dockerfile reference, RUN --mount=type=cache). */
export type CacheSharing = 'shared' | 'private' | 'locked';

export interface CacheRequest {
  /** As written, or the default (the target). Hostile: it is hashed, never a path. */
  readonly id: string;
  readonly sharing: CacheSharing;
  /** Identity of the tree the cache begins with; '' when it begins empty. */
  readonly base: string;
  /** Fills a new cache. */
  readonly fill: (directory: string) => Promise<void>;
}

/** A cache directory in use. Disposing it lets the next user of a locked or private one in. */
export interface CacheLease extends AsyncDisposable {
  readonly directory: string;
}

/**
 * # Cache mounts
 *
 * Directories that outlive builds, by id and by what they begin with, under `caches/` of the store. `shared`: any number of users at
 * once. `locked`: one at a time, the others wait. `private`: each gets a directory of its own; one that is free is used again.
 * Across processes as well: a lease holds a lock file, which goes with the process.
 */
export interface CacheMounts {
  lease(request: CacheRequest, signal: AbortSignal): Promise<CacheLease>;
}

/** The cache mounts under `directory` (`caches/` of the store). */
export function createCacheMounts(directory: string): CacheMounts {
  return {
    async lease(request, signal) {
      const name = hexOf(digestOfParts([request.id, request.base]));
      const home = join(directory, name);
      mkdirSync(home, { recursive: true, mode: 0o700 });
      switch (request.sharing) {
        case 'shared':
          return leased(await filled(join(home, '0'), request, () => holdLock(join(home, '0.lock'), signal)));
        case 'locked': {
          const held = await holdLock(join(home, '0.lock'), signal);
          return leased(await filled(join(home, '0'), request), held);
        }
        case 'private': {
          for (let number = 0; ; number++) {
            const held = tryHoldLock(join(home, `${number}.lock`));
            if (held) return leased(await filled(join(home, `${number}`), request), held);
          }
        }
      }
    },
  };
}

/** Holds the lock file `path` until disposed; waits for whoever holds it. */
function holdLock(path: string, signal: AbortSignal): Promise<AsyncDisposable> {
  const acquired = Promise.withResolvers<AsyncDisposable>();
  const released = Promise.withResolvers<void>();
  const over = withLockFile(path, signal, async () => {
    acquired.resolve({
      async [Symbol.asyncDispose]() {
        released.resolve();
        await over;
      },
    });
    await released.promise;
  });
  over.catch(acquired.reject);
  return acquired.promise;
}

/** The same, or undefined when somebody holds it. The file stays: its lock goes with the descriptor. */
function tryHoldLock(path: string): AsyncDisposable | undefined {
  const fd = openSync(path, 'a', 0o600);
  if (tryLock(fd, 'exclusive')) return { [Symbol.asyncDispose]: async () => closeSync(fd) };
  closeSync(fd);
  return undefined;
}

function leased(directory: string, held?: AsyncDisposable): CacheLease {
  return { directory, [Symbol.asyncDispose]: async () => held?.[Symbol.asyncDispose]() };
}

/** The directory for data, made and filled at its first use. A fill that was cut short is begun again: `ready` marks a whole one. */
async function filled(place: string, request: CacheRequest, guard?: () => Promise<AsyncDisposable>): Promise<string> {
  const data = join(place, 'data');
  const ready = join(place, 'ready');
  if (existsSync(ready)) return data;
  await using _held = guard && (await guard());
  if (existsSync(ready)) return data;
  mkdirSync(data, { recursive: true });
  await request.fill(data);
  mkdirSync(ready);
  return data;
}
