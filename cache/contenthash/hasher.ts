import { join } from 'node:path';
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { divide } from '../../base/divide.ts';
import { type OnMoved, sumOf } from '../../snapshotter/workers/job.ts';
import type { ContentHasher, Selection, Tree } from '../contenthash.ts';
import { contextChanged } from '../select/changed.ts';
import type { Entry } from '../select/entry.ts';
import { select } from '../select/select.ts';
import type { SelectedSource } from '../select/selected-source.ts';
import { type HashFile, type HashJob, hashFiles } from './filehash.ts';
import { racyGuard } from './racy.ts';
import { SelectionDigests, selectionName } from './selection-digests.ts';
import { type Contents, makeContents, openStatCache, RACY, type StatCache } from './statcache.ts';
import { digestSelection } from './treehash.ts';

/** Exactly the files that a copy has to copy. */
export interface SelectedContents {
  readonly sources: readonly SelectedSource[];
  /** The digests of the files' bytes and xattrs, by the index of the entry. */
  readonly contents: Contents;
}

/** A selection with its digest. */
export interface HashedSelection extends SelectedContents {
  readonly digest: Digest;
}

export interface SelectionHasher extends ContentHasher {
  /** Like `digest`, for callers that will copy the hashed files. */
  read(tree: Tree, selection: Selection, signal?: AbortSignal): Promise<HashedSelection>;
}

export interface HasherOptions {
  /**
   * The directory of the remembered digests (`statcache/` of the store). When undefined, nothing is
   * remembered between builds.
   */
  readonly directory: string | undefined;
  /** Runs jobs on worker threads. Without it everything is hashed on this thread. */
  readonly pool?: HashPool;
}

/** Threads that hash files. */
export interface HashPool {
  readonly threads: number;
  run(job: HashJob, signal?: AbortSignal, onMoved?: OnMoved): Promise<Contents>;
  /** Starts threads: all of them, or so many. */
  warm?(threads?: number): void;
}

/**
 * Fewer bytes than this are hashed immediately on this thread: starting a thread costs 30 ms, and
 * every message is copied.
 */
const INLINE_BYTES = 8 << 20;
const INLINE_FILES = 400;
/** One file with more bytes is hashed on a thread, so that this one can show that. */
const BLOCKING_BYTES = 64 << 20;
/** If fewer entries than this are new or have changed, a copy of all is hardly made again. */
const FEW_MISSING = 50;

/** Makes a hasher. It does not touch the disk before it is used. */
export function createContentHasher(options: HasherOptions): SelectionHasher {
  const caches = new Map<string, StatCache>();
  const cacheOf = (tree: Tree): StatCache => {
    if (tree.memory === undefined) return openStatCache(undefined);
    let cache = caches.get(tree.memory);
    if (!cache) {
      cache = openStatCache(
        options.directory && join(options.directory, hexOf(digestOf(tree.memory))),
      );
      caches.set(tree.memory, cache);
    }
    return cache;
  };
  const selections = new Map<string, SelectionDigests>();
  const digestsOf = (memory: string): SelectionDigests => {
    let digests = selections.get(memory);
    if (!digests) {
      const file = options.directory && join(options.directory, `of-${hexOf(digestOf(memory))}`);
      selections.set(memory, (digests = new SelectionDigests(file)));
    }
    return digests;
  };
  const read = async (
    tree: Tree,
    selection: Selection,
    signal?: AbortSignal,
  ): Promise<HashedSelection> => {
    const { memory, version } = tree;
    if (memory === undefined || version === undefined)
      return (await walk(tree, selection, signal)).hashed;
    const digests = digestsOf(memory);
    const name = selectionName(tree, selection);
    const digest = digests.find(version, name);
    if (digest) return new LaterContents(digest, tree, selection, () => cacheOf(tree));
    const { hashed, isToldAgain } = await walk(tree, selection, signal);
    if (!isToldAgain) digests.keep(version, name, hashed.digest);
    return hashed;
  };
  const walk = async (
    tree: Tree,
    selection: Selection,
    signal?: AbortSignal,
  ): Promise<{ readonly hashed: HashedSelection; readonly isToldAgain: boolean }> => {
    signal?.throwIfAborted();
    const cache = cacheOf(tree);
    const { sources, contents, missing } = lookedUp(tree, selection, cache);
    const isToldAgain = tree.onRead?.(sources) === true;
    // Something has changed, so a copy will follow, and there are many files: the threads start
    // while a few files are hashed here. After few changes one thread is likely to be enough: it
    // describes a new version of the layer.
    if (missing.length > 0 && contents.flags.length > INLINE_FILES)
      options.pool?.warm?.(missing.length < FEW_MISSING ? 1 : undefined);
    if (missing.length > 0) await hashMissing(tree, missing, cache, contents, options.pool, signal);
    const digest = digestSelection(sources, contents);
    return { hashed: { digest, sources, contents }, isToldAgain };
  };
  return {
    read,
    digest: async (tree, selection, signal) => (await read(tree, selection, signal)).digest,
    save: () => {
      for (const cache of caches.values()) cache.save();
      for (const digests of selections.values()) digests.save();
    },
  };
}

/**
 * A selection whose digest was remembered. Its files are looked for when a step has to run that
 * needs them.
 */
class LaterContents implements HashedSelection {
  readonly digest: Digest;
  readonly #tree: Tree;
  readonly #selection: Selection;
  readonly #cache: () => StatCache;
  #found: SelectedContents | undefined;

  constructor(digest: Digest, tree: Tree, selection: Selection, cache: () => StatCache) {
    this.digest = digest;
    this.#tree = tree;
    this.#selection = selection;
    this.#cache = cache;
  }

  get sources(): readonly SelectedSource[] {
    return this.#contents().sources;
  }

  get contents(): Contents {
    return this.#contents().contents;
  }

  /** Throws KILN_CONTEXT_CHANGED when somebody else has written to the tree. */
  #contents(): SelectedContents {
    if (this.#found) return this.#found;
    const cache = this.#cache();
    const { sources, contents, missing } = lookedUp(this.#tree, this.#selection, cache);
    if (missing.length > 0) hashHere(this.#tree, missing, cache, contents);
    if (digestSelection(sources, contents) !== this.digest)
      throw contextChanged(sources[0]?.path ?? '');
    return (this.#found = { sources, contents });
  }
}

interface LookedUp extends SelectedContents {
  /** The entries whose digests are not remembered. */
  readonly missing: readonly Entry[];
}

function lookedUp(tree: Tree, selection: Selection, cache: StatCache): LookedUp {
  const sources = select(tree, selection);
  const contents = makeContents((sources.at(-1)?.entries.at(-1)?.index ?? -1) + 1);
  const missing: Entry[] = [];
  for (const source of sources)
    for (const entry of source.entries) lookup(entry, cache, contents, missing);
  return { sources, contents, missing };
}

function lookup(entry: Entry, cache: StatCache, contents: Contents, missing: Entry[]): void {
  const { kind, parent } = entry;
  const isTop = parent < 0 && entry.path === '';
  if (kind !== 'file' && (kind !== 'directory' || isTop)) return;
  if (!cache.lookup(entry, contents, entry.index)) missing.push(entry);
}

async function hashMissing(
  tree: Tree,
  missing: readonly Entry[],
  cache: StatCache,
  contents: Contents,
  pool: HashPool | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const put = placing(tree, cache, contents);
  const parts = splitWork(missing, pool?.threads ?? 1);
  const total = sizeOf(missing);
  const threads = parts.length > 1 || total > BLOCKING_BYTES ? pool : undefined;
  const told = threads && tree.onHashing?.(total);
  const moved = told && sumOf(parts.length, told);
  await Promise.all(
    parts.map(async (entries, part) => {
      const job = hashJob(tree, entries);
      put(entries, threads ? await threads.run(job, signal, moved?.(part)) : hashFiles(job));
    }),
  );
}

function sizeOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { kind, size }) => sum + (kind === 'file' ? size : 0), 0);
}

/** Like `hashMissing`, on this thread. */
function hashHere(
  tree: Tree,
  missing: readonly Entry[],
  cache: StatCache,
  contents: Contents,
): void {
  placing(tree, cache, contents)(missing, hashFiles(hashJob(tree, missing)));
}

/** Returns what puts the digests of entries, which are read from now on, where they belong. */
function placing(
  tree: Tree,
  cache: StatCache,
  contents: Contents,
): (entries: readonly Entry[], result: Contents) => void {
  const started = Date.now();
  const isRacy = racyGuard(tree.root);
  return (entries, result) => {
    for (const [at, entry] of entries.entries()) {
      contents.digests.set(result.digests.subarray(at * 32, at * 32 + 32), entry.index * 32);
      contents.flags[entry.index] = result.flags[at]! | (isRacy(entry, started) ? RACY : 0);
      cache.remember(entry, contents, entry.index);
    }
  };
}

function hashJob(tree: Tree, entries: readonly Entry[]): HashJob {
  return { root: tree.root, files: entries.map(hashFile) };
}

/**
 * Divides the entries: into one part when they are small, and otherwise into parts of similar
 * weight, a few for each thread, because parts differ in time.
 */
function splitWork(entries: readonly Entry[], threads: number): Entry[][] {
  const weight = (entry: Entry) => 16384 + (entry.kind === 'file' ? entry.size : 0);
  const total = entries.reduce((sum, entry) => sum + weight(entry), 0);
  if (threads < 2 || (entries.length <= INLINE_FILES && total <= INLINE_BYTES))
    return [[...entries]];
  return divide(entries, threads * 4, weight);
}

function hashFile(entry: Entry): HashFile {
  const { path, dev, ino, size, mtimeMs, ctimeMs } = entry;
  return { path, dev, ino, size, mtimeMs, ctimeMs, directory: entry.kind === 'directory' };
}
