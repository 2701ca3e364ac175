import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { makeOwn } from '../../snapshotter/store/own-file.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { removeTree } from '../../snapshotter/sys/removal.ts';
import type { Problem } from './fsck-report.ts';

type Kind = 'directory' | 'file';

/** Directories without which the store cannot be used. All others are made when they are needed. */
const CORE = ['blobs', 'blobs/sha256', 'layers', 'tmp', 'logs', 'leases'];

/**
 * What belongs at each place of a store, from the outside to the inside. `*` stands for any one
 * name, `*.x` for one that ends so. Trees of layers and contents of cache mounts may hold anything.
 */
const SHAPE: readonly (readonly [kind: Kind, paths: readonly string[]])[] = [
  ['directory', [...CORE, 'statcache', 'copies', 'caches', 'git']],
  ['file', ['VERSION', 'images.json', 'snapshotter', 'written-back', 'collected', 'kiln.db']],
  ['directory', ['layers/*', 'layers/*/fs', 'caches/*', 'logs/*.attached']],
  ['file', ['blobs/sha256/*', 'layers/*/layer.json', 'layers/*/settled', 'layers/*/trail']],
  ['file', ['logs/*.jsonl', 'logs/*.pin', 'logs/*.attached/*', 'logs/limits.json']],
  ['file', ['leases/*', 'statcache/*', 'copies/*', 'caches/*/about.json']],
];

/**
 * Finds what is not of the kind that belongs at its place: a directory, a link or a FIFO instead of
 * a file, or a file instead of a directory. All other checks rely on the kinds.
 */
export function shapeProblems({ root }: Pick<Store, 'root'>): Problem[] {
  return SHAPE.flatMap(([kind, patterns]) =>
    patterns.flatMap((pattern) =>
      placesOf(root, pattern.split('/')).flatMap((path) => problemAt(root, path, kind) ?? []),
    ),
  );
}

function problemAt(root: string, path: string, kind: Kind): Problem | undefined {
  const full = join(root, path);
  const isWrong = () => hasOtherKind(full, kind, CORE.includes(path));
  if (!isWrong()) return undefined;
  return {
    what: `${path} in the store is not a ${kind}`,
    repair: 'it was removed',
    mend() {
      if (!isWrong()) return;
      removeTree(full);
      if (CORE.includes(path)) makeOwn(full);
    },
  };
}

/** `linked` accepts a link to a directory, by which a part of the store can be elsewhere. */
function hasOtherKind(path: string, kind: Kind, linked: boolean): boolean {
  const stat = statOf(path);
  if (!stat) return false;
  if (kind === 'file') return !stat.isFile();
  return !stat.isDirectory() && !(linked && stat.isSymbolicLink() && leadsToDirectory(path));
}

/** Undefined when there is nothing, also when something above is not a directory. */
function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '');
}

function leadsToDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** The paths below `root`, relative to it, that match the parts of a pattern. */
function placesOf(root: string, parts: readonly string[]): string[] {
  const at = parts.findIndex((part) => part.startsWith('*'));
  if (at < 0) return [parts.join('/')];
  const above = parts.slice(0, at);
  const end = parts[at]!.slice(1);
  return namesIn(join(root, ...above))
    .filter((name) => name.endsWith(end))
    .flatMap((name) => placesOf(root, [...above, name, ...parts.slice(at + 1)]));
}

/** None in something that is not a directory, which is reported by itself. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
}
