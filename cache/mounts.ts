import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOfParts, hexOf } from '../base/digest.ts';
import { errnoOf } from '../base/errors.ts';
import { osError, writing } from '../base/oserror.ts';
import { type HeldLock, lockFile, tryLockFile } from '../snapshotter/overlay/filelock.ts';
import { readOwn } from '../snapshotter/store/own-file.ts';
import { removeTree } from '../snapshotter/sys/removal.ts';

/** How several steps share one cache mount (Dockerfile reference, RUN --mount=type=cache). */
export type CacheSharing = 'shared' | 'private' | 'locked';

export interface CacheRequest {
  /**
   * The id as written, or the default (the target). It may be hostile, so it is hashed and never
   * used as a path.
   */
  readonly id: string;
  readonly sharing: CacheSharing;
  /** The identity of the tree that the cache starts with; '' when it starts empty. */
  readonly base: string;
  /** The command that asks, for people who look at the caches. It does not identify the cache. */
  readonly step?: string | undefined;
  /**
   * For `--no-cache`: the directories of the caches that this build has emptied. One that is not
   * among them is emptied now, unless it is in use.
   */
  readonly emptied?: Set<string>;
  /** Fills a new cache. */
  readonly fill: (directory: string) => Promise<void>;
}

/** A cache directory in use. Disposing of it admits the next user of a locked or private cache. */
export interface CacheLease extends AsyncDisposable {
  readonly directory: string;
}

/**
 * # Cache mounts
 *
 * Directories that outlive builds, identified by their id and by the tree they start with, under
 * `caches/` of the store. `shared`: any number of users at once. `locked`: one user at a time, the
 * others wait in a queue. `private`: each user gets a directory of its own; a free one is used
 * again. This also holds across processes: a lease holds a lock file, shared or exclusive, and the
 * lock ends with the process. The garbage collector takes the exclusive lock, so a cache in use is
 * never removed.
 *
 *     caches/NAME/about.json     its id, its base, when it was created, and for which step
 *     caches/NAME/N.lock         its time is the time of the last use
 *     caches/NAME/0.filling      held by the one of several shared users that fills the cache
 *     caches/NAME/N/data         the directory; N/ready exists when it is filled.
 *                                N is 0 except for private caches
 */
export interface CacheMounts {
  lease(request: CacheRequest, signal: AbortSignal): Promise<CacheLease>;
}

/** The content of `about.json`. */
export interface CacheAbout {
  readonly id: string;
  readonly base: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The beginning of the command that used it first. */
  readonly step?: string | undefined;
}

/** The cache mounts under `directory` (`caches/` of the store). */
export function createCacheMounts(directory: string): CacheMounts {
  return {
    async lease(request, signal) {
      const home = join(directory, cacheName(request));
      const { emptied } = request;
      if (emptied && !emptied.has(home)) {
        emptied.add(home);
        emptyUnused(home);
      }
      for (;;) {
        describeCache(home, request);
        try {
          return request.sharing === 'private'
            ? await leasePrivate(home, request)
            : await leaseFirst(home, request, signal);
        } catch (error) {
          // The garbage collector removed the directory after it was made and before it was locked.
          if (errnoOf(error) !== 'ENOENT' || existsSync(home)) throw error;
        }
      }
    },
  };
}

/** The name of a cache mount's directory within `caches/`. */
export function cacheName({ id, base }: Pick<CacheRequest, 'id' | 'base'>): string {
  return hexOf(digestOfParts([id, base]));
}

/** How many characters of a command are kept. */
const STEP_SHOWN = 200;

/** Reads about the cache mount in `home`. Undefined when the file cannot be read. */
export function readAbout(home: string): CacheAbout | undefined {
  try {
    const about = JSON.parse(String(readOwn(join(home, 'about.json')))) as Partial<CacheAbout>;
    if (
      typeof about.id !== 'string' ||
      typeof about.base !== 'string' ||
      typeof about.created !== 'number' ||
      (about.step !== undefined && typeof about.step !== 'string')
    )
      return undefined;
    return about as CacheAbout;
  } catch {
    return undefined;
  }
}

/** Makes `home` and writes its `about.json`. */
export function describeCache(
  home: string,
  { id, base, step }: Pick<CacheRequest, 'id' | 'base' | 'step'>,
): void {
  const path = join(home, 'about.json');
  if (existsSync(path)) return;
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const about: CacheAbout = { id, base, created: Date.now(), step: step?.slice(0, STEP_SHOWN) };
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(about)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}

async function leaseFirst(
  home: string,
  request: CacheRequest,
  signal: AbortSignal,
): Promise<CacheLease> {
  const place = join(home, '0');
  const shared = request.sharing === 'shared';
  const held = await lockFile(join(home, '0.lock'), shared ? 'shared' : 'exclusive', signal);
  return await filled(place, request, held, shared ? join(home, '0.filling') : undefined, signal);
}

async function leasePrivate(home: string, request: CacheRequest): Promise<CacheLease> {
  for (let number = 0; ; number++) {
    const held = tryLockFile(join(home, `${number}.lock`), 'exclusive');
    if (held) return await filled(join(home, `${number}`), request, held);
  }
}

/**
 * `filling` is the lock of the user that fills the cache, while several users hold the shared lock.
 */
async function filled(
  place: string,
  request: CacheRequest,
  held: HeldLock,
  filling?: string,
  signal = new AbortController().signal,
): Promise<CacheLease> {
  try {
    if (!existsSync(join(place, 'ready'))) {
      using _one = filling === undefined ? undefined : await lockFile(filling, 'exclusive', signal);
      await fill(place, request);
    }
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
  return leaseOf(place, held);
}

function leaseOf(place: string, held: HeldLock): CacheLease {
  return {
    directory: join(place, 'data'),
    [Symbol.asyncDispose]: async () => held[Symbol.dispose](),
  };
}

/**
 * Makes and fills the directory at its first use. An interrupted fill starts over: the file `ready`
 * marks a complete one.
 */
async function fill(place: string, request: CacheRequest): Promise<void> {
  const ready = join(place, 'ready');
  if (existsSync(ready)) return;
  const data = join(place, 'data');
  removed(data);
  mkdirSync(data, { recursive: true });
  await request.fill(data);
  mkdirSync(ready);
}

/** Empties the directories that are not in use. */
function emptyUnused(home: string): void {
  for (let number = 0; existsSync(join(home, `${number}.lock`)); number++) {
    using held = tryLockFile(join(home, `${number}.lock`), 'exclusive');
    if (held) removed(join(home, `${number}`));
  }
}

/**
 * Removes the tree of a cache mount, whatever steps left in it. A part that remained would become
 * part of a new cache.
 */
export function removed(place: string): void {
  const failure = removeTree(place);
  if (failure !== undefined)
    throw osError(failure, {
      ...writing('the cache mount', place),
      what: `the cache mount in ${place} cannot be removed`,
    });
}
