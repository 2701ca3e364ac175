import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { lastLineIn } from '../../base/last-line.ts';
import { tryLockFile } from '../../snapshotter/overlay/filelock.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { diskUsage } from '../../snapshotter/store/usage.ts';
import { readAbout } from '../mounts.ts';
import type { Item, ItemType } from './item.ts';

/**
 * The items that are neither layers nor blobs: cache mounts, git mirrors, caches of file digests,
 * and the store's own files. Reads the disk, and holds no lock for long.
 */
export function otherItems({ root }: Pick<Store, 'root'>): Item[] {
  return [
    ...cacheMountItems(join(root, 'caches')),
    ...gitItems(join(root, 'git')),
    ...clientItems(join(root, 'mirrors')),
    ...memoryItems(join(root, 'statcache'), 'digests of the files of a context'),
    ...memoryItems(join(root, 'copies'), 'results of large copies'),
    ...logItems(join(root, 'logs')),
    ...fixedItems(root),
  ];
}

/** A cache mount, or one of the directories of a private cache mount. */
export interface CacheMountPlace {
  readonly item: Item;
  readonly name: string;
  readonly number: number;
  readonly mountId: string;
  readonly base: string;
  /** The beginning of the command that used it first. Undefined when that is not known. */
  readonly step: string | undefined;
  /** The directory with its files. */
  readonly data: string;
}

/** The cache mounts in `directory` (`caches/` of the store), as items. */
export function cacheMountItems(directory: string): Item[] {
  return cacheMountPlaces(directory).map(({ item }) => item);
}

/** The cache mounts in `directory`, with their places on disk. */
export function cacheMountPlaces(directory: string): CacheMountPlace[] {
  return names(directory).flatMap((name) => {
    const home = join(directory, name);
    const about = readAbout(home);
    return names(home).flatMap((lock) => {
      const number = /^(\d+)\.lock$/.exec(lock)?.[1];
      if (number === undefined) return [];
      const place = join(home, number);
      const used = timeOf(join(home, lock));
      const what = about
        ? `cache mount ${about.id}${number === '0' ? '' : ` (private ${number})`}`
        : 'cache mount';
      const item = {
        ...plain(`${name.slice(0, 24)}-${number}`, 'exec.cachemount', what, [place]),
        created: about?.created ?? used,
        used,
        mutable: true,
        inUse: isLocked(join(home, lock)),
        content: {
          paths: [place, join(home, `${number}.filling`), join(home, lock)],
          lock: join(home, lock),
        },
      };
      return [
        {
          item,
          name,
          number: Number(number),
          mountId: about?.id ?? '',
          base: about?.base ?? '',
          step: about?.step,
          data: join(place, 'data'),
        },
      ];
    });
  });
}

/**
 * Mirrors of git repositories: one directory each, with a lock file beside it while it is in use.
 */
function gitItems(directory: string): Item[] {
  return names(directory)
    .filter((name) => !name.endsWith('.lock'))
    .map((name) => {
      const path = join(directory, name);
      const lock = `${path}.lock`;
      const item = plain(name, 'source.git.checkout', 'git repository', [path]);
      return { ...item, inUse: isLocked(lock), content: { paths: [path, lock], lock } };
    });
}

/** Copies of directories of clients (api/session/filesync), each with a lock. */
function clientItems(directory: string): Item[] {
  return names(directory).flatMap((name) => {
    const home = join(directory, name);
    return names(home).flatMap((file) => {
      const number = /^(\d+)\.lock$/.exec(file)?.[1];
      if (number === undefined) return [];
      const [place, lock] = [join(home, number), join(home, file)];
      const list = `${place}.known`;
      const item = plain(`${name.slice(0, 24)}-${number}`, 'source.local', 'files of a client', [
        place,
        list,
      ]);
      const used = timeOf(lock);
      return [
        { ...item, used, inUse: isLocked(lock), content: { paths: [place, list, lock], lock } },
      ];
    });
  });
}

/**
 * Data about the files of a context, by their time stamps. Without it the files are read and copied
 * again.
 */
function memoryItems(directory: string, description: string): Item[] {
  return names(directory).map((name) =>
    plain(name.slice(0, 24), 'source.local', description, [join(directory, name)]),
  );
}

/**
 * The log of a finished build says so at its end. The log of a killed build does not: it counts as
 * finished after this time.
 */
const LOG_MS = 3_600_000;

/** The item of the logs of finished builds. */
export const OLD_LOGS = 'old-logs';

/**
 * True for what clients of a server call the build cache. What a named image needs is none: it goes
 * with the image. The history of builds has commands of its own.
 */
export function isBuildCache({ fixed, shared, id }: Item): boolean {
  return !fixed && !shared && id !== OLD_LOGS;
}

const LOG = '.jsonl';
/** The last line of a log is shorter. Bytes. */
const LONGEST_END = 4 << 20;
/** What is kept of results for the next build that finds them (builder/history/kept-again.ts). */
const KEPT = 'kept';

/**
 * The logs of finished builds with what is kept with them, as one item because each is small. Those
 * that are pinned stay.
 */
function logItems(directory: string): Item[] {
  const over = overLogs(directory);
  return over.length === 0 ? [] : [plain(OLD_LOGS, 'internal', 'logs of builds', over)];
}

/**
 * The paths of the logs that may be removed, and of what is kept with them. Logs that stay have
 * links of their own to what the directory `kept` has.
 */
function overLogs(directory: string): string[] {
  const all = names(directory);
  const there = new Set(all);
  const over = all
    .filter((name) => name.endsWith(LOG) && isOver(join(directory, name)))
    .map((name) => name.slice(0, -LOG.length))
    .filter((id) => !there.has(`${id}.pin`))
    .flatMap((id) => [id + LOG, `${id}.attached`].filter((name) => there.has(name)));
  const kept = over.length > 0 && there.has(KEPT) ? [KEPT] : [];
  return [...over, ...kept].map((name) => join(directory, name));
}

function isOver(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isFile()) return false;
  if (stat.mtimeMs < Date.now() - LOG_MS) return true;
  return lastLineIn(path, LONGEST_END)?.startsWith('{"ended":') ?? false;
}

/** Names in the store whose size other items count. */
const OTHER_ITEMS = /^(kiln\.db.*|blobs|layers|caches|git|mirrors|statcache|copies|logs)$/;

function fixedItems(root: string): Item[] {
  const all = names(root);
  const database = all.filter((name) => name.startsWith('kiln.db')).map((name) => join(root, name));
  const others = all.filter((name) => !OTHER_ITEMS.test(name)).map((name) => join(root, name));
  const over = new Set(overLogs(join(root, 'logs')));
  const logs = names(join(root, 'logs'))
    .map((name) => join(root, 'logs', name))
    .filter((path) => !over.has(path));
  // A directory with many names takes some space itself.
  const directories = [
    root,
    ...all.filter((name) => OTHER_ITEMS.test(name)).map((name) => join(root, name)),
  ];
  directories.push(
    join(root, 'blobs/sha256'),
    ...names(join(root, 'caches')).map((name) => join(root, 'caches', name)),
  );
  const own = directories.reduce((sum, path) => sum + ownBytes(path), 0);
  const rest = plain(
    'other',
    'internal',
    'directories, leases and scratch space of the store',
    others,
  );
  return [
    { ...plain('index', 'internal', 'index of the store', database), fixed: true },
    ...(logs.length === 0
      ? []
      : [
          {
            ...plain('logs', 'internal', 'logs of builds that are going on or pinned', logs),
            fixed: true,
          },
        ]),
    { ...rest, size: rest.size + own, fixed: true },
  ];
}

function ownBytes(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() ? stat.blocks * 512 : 0;
}

function plain(id: string, type: ItemType, description: string, paths: readonly string[]): Item {
  const times = paths.map(timeOf);
  const used = Math.max(0, ...times);
  return {
    id,
    type,
    parents: [],
    description,
    size: paths.reduce((sum, path) => sum + diskUsage(path).bytes, 0),
    created: used,
    used,
    inUse: false,
    shared: false,
    mutable: false,
    garbage: false,
    fixed: false,
    content: { paths },
  };
}

/** A file that cannot be examined counts as being very old. */
function timeOf(path: string): number {
  try {
    return lstatSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

function isLocked(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    const held = tryLockFile(path, 'exclusive', 'unused');
    held?.[Symbol.dispose]();
    return held === undefined;
  } catch {
    // When the lock cannot be tested, the item counts as used and is kept.
    return true;
  }
}

/**
 * Empty when the directory does not exist or cannot be read; other items are listed all the same.
 */
function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
