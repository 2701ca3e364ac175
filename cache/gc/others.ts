import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { tryLockFile } from '../../snapshotter/overlay/filelock.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { diskUsage } from '../../snapshotter/store/usage.ts';
import { readAbout } from '../mounts.ts';
import type { Item, ItemType } from './item.ts';

/** What is neither layer nor blob: cache mounts, git mirrors, memories of file digests, and the store's own files. Reads the disk, takes no lock for long. */
export function otherItems({ root }: Pick<Store, 'root'>): Item[] {
  return [
    ...cacheMountItems(join(root, 'caches')),
    ...gitItems(join(root, 'git')),
    ...memoryItems(join(root, 'statcache'), 'digests of the files of a context'),
    ...memoryItems(join(root, 'copies'), 'what a large copy made'),
    ...fixedItems(root),
  ];
}

/** A cache mount, or one of the copies of a private one. */
export interface CacheMountPlace {
  readonly item: Item;
  readonly name: string;
  readonly number: number;
  readonly mountId: string;
  readonly base: string;
  /** Where its files are. */
  readonly data: string;
}

export function cacheMountItems(directory: string): Item[] {
  return cacheMountPlaces(directory).map(({ item }) => item);
}

export function cacheMountPlaces(directory: string): CacheMountPlace[] {
  return names(directory).flatMap((name) => {
    const home = join(directory, name);
    const about = readAbout(home);
    return names(home).flatMap((lock) => {
      const number = /^(\d+)\.lock$/.exec(lock)?.[1];
      if (number === undefined) return [];
      const place = join(home, number);
      const used = timeOf(join(home, lock));
      const what = about ? `cache mount ${about.id}${number === '0' ? '' : ` (private ${number})`}` : 'cache mount';
      const item = {
        ...plain(`${name.slice(0, 24)}-${number}`, 'exec.cachemount', what, [place]),
        created: about?.created ?? used,
        used,
        mutable: true,
        inUse: isLocked(join(home, lock)),
        content: { paths: [place, join(home, `${number}.filling`), join(home, lock)], lock: join(home, lock) },
      };
      return [
        { item, name, number: Number(number), mountId: about?.id ?? '', base: about?.base ?? '', data: join(place, 'data') },
      ];
    });
  });
}

/** Mirrors of git repositories: a directory each, with a lock file beside it while it is used. */
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

/** What is remembered of a context, by the time stamps of its files: without it the files are read, and copied, once more. */
function memoryItems(directory: string, description: string): Item[] {
  return names(directory).map((name) => plain(name.slice(0, 24), 'source.local', description, [join(directory, name)]));
}

function fixedItems(root: string): Item[] {
  const database = names(root)
    .filter((name) => name.startsWith('kiln.db'))
    .map((name) => join(root, name));
  return [
    { ...plain('index', 'internal', 'index of the store', database), fixed: true },
    { ...plain('logs', 'internal', 'logs of builds', [join(root, 'logs')]), fixed: true },
  ];
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

function timeOf(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function isLocked(path: string): boolean {
  if (!existsSync(path)) return false;
  const held = tryLockFile(path, 'exclusive', 'unused');
  held?.[Symbol.dispose]();
  return held === undefined;
}

function names(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
