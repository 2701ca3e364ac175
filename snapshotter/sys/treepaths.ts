import { closeSync, constants, lstatSync, openSync, readdirSync, type Stats } from 'node:fs';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { compareNames, decodeName, fsName, nameBytes } from './name-bytes.ts';

/**
 * # Trees that are deeper than a path is long
 *
 * The kernel takes paths of at most 4,095 bytes, but a tree may be deeper: `mkdir` and `cd` in a
 * loop is enough, and the path of the store comes before everything that a step has made. So code
 * that walks an untrusted tree with node:fs gets its paths from here:
 *
 *     using paths = new TreePaths(root);
 *     const stat = lstatSync(paths.at('a/b'));
 *
 * A short path is simply `root/a/b`, at no extra cost. For a long one, directories on the way are
 * held open, and the path begins at the last of them (`/proc/self/fd/N/…`). This is made for walks,
 * whose paths follow one another in one region. Errors are those that a short path gives.
 *
 * As with any path, links on the way are followed, even out of the tree. That is safe for the names
 * and the metadata of a walk, which passes through no link. Code that reads or removes files works
 * by descriptor (rooted.ts, removal.ts).
 */
export class TreePaths implements Disposable {
  readonly #top: string;
  /** A path of this many UTF-16 units is always short: each takes at most three bytes. */
  readonly #short: number;
  /**
   * Open directories on the way to the last long path. `prefix` ends in a slash, and is '' for the
   * top.
   */
  readonly #held: { readonly prefix: string; readonly fd: number }[] = [];

  constructor(top: string) {
    this.#top = top;
    this.#short = Math.floor((MAX_DIRECT_PATH - Buffer.byteLength(top)) / 3);
  }

  /**
   * The path at which node:fs finds `path` of the tree, valid until the next call. '' is the top.
   * Both are in the text form of name-bytes.ts.
   */
  at(path: string): string | Buffer {
    if (path.length <= this.#short) return path === '' ? this.#top : fsName(`${this.#top}/${path}`);
    return fsName(this.#far(path));
  }

  [Symbol.dispose](): void {
    while (this.#held.length > 0) this.#release();
  }

  #far(path: string): string {
    while (this.#held.length > 0 && !path.startsWith(this.#held.at(-1)!.prefix)) this.#release();
    for (;;) {
      const last = this.#held.at(-1);
      const base = last ? `/proc/self/fd/${last.fd}` : this.#top;
      const prefix = last?.prefix ?? '';
      const rest = path.slice(prefix.length);
      const room = last ? STEP : MAX_DIRECT_PATH - Buffer.byteLength(base);
      if (rest.length * 3 <= room || Buffer.byteLength(rest) <= room) return `${base}/${rest}`;
      // The cut depends on the beginning of the path, not on its end, so that neighbours share the
      // held directories.
      const cut = last || room > STEP ? rest.lastIndexOf('/', Math.floor(room / 3)) : 0;
      if (cut < 0) return `${base}/${rest}`;
      const directory = cut === 0 ? base : `${base}/${rest.slice(0, cut)}`;
      const fd = openSync(fsName(directory), O_PATH | constants.O_DIRECTORY);
      this.#held.push({ prefix: cut === 0 ? prefix : `${prefix}${rest.slice(0, cut)}/`, fd });
    }
  }

  #release(): void {
    closeSync(this.#held.pop()!.fd);
  }
}

/** The most bytes of a path that are used. The kernel takes 4,095. */
const MAX_DIRECT_PATH = 3800;
/**
 * The bytes from one held directory to the next. A shorter path is faster, because it is looked up
 * again for each file.
 */
const STEP = 1200;
const O_PATH = 0o10000000;

/**
 * The most nested directories that are read into a list of paths, or an archive. Deeper trees are
 * refused, because the paths of all entries grow with the square of the depth. Removing, and
 * counting bytes, have no such limit.
 */
export const DEEPEST = 2048;

/** A path for a message, absolute and in text form. A long one is shortened in the middle. */
export function shownPath(path: string): string {
  const full = `/${path.replace(/^\/+/, '')}`;
  if (full.length <= SHOWN) return JSON.stringify(full);
  return (
    `${JSON.stringify(`${full.slice(0, SHOWN / 2)}…${full.slice(-SHOWN / 2)}`)} ` +
    `(${nameBytes(full).length} bytes)`
  );
}

const SHOWN = 200;

/** KILN_LAYER_LIMIT for a directory at `path` that is deeper than DEEPEST. */
export function tooDeep(path: string): KilnError {
  return new KilnError(
    'KILN_LAYER_LIMIT',
    `${shownPath(path)} is more than ${DEEPEST} directories deep`,
    {
      hint:
        'the program that made it was most likely in an endless loop: remove it (rm -rf), or ' +
        'leave it out (.dockerignore, COPY --exclude)',
    },
  );
}

/**
 * The names in a directory in the text form of name-bytes.ts, in no order. `at` comes from
 * `TreePaths.at`.
 */
export function namesAt(at: string | Buffer): string[] {
  const found = readdirSync(at);
  // U+FFFD stands for bytes that are not UTF-8 (or for itself). Only then is the slower, lossless
  // way needed.
  return found.join('/').includes('\ufffd') ? readdirSync(at, 'buffer').map(decodeName) : found;
}

/** The same, sorted by bytes. */
export function sortedNamesAt(at: string | Buffer): string[] {
  const found = readdirSync(at);
  // Above U+D7FF UTF-16 sorts differently from bytes, and U+FFFD is above it.
  return /[\ud800-\uffff]/.test(found.join('/')) ? namesAt(at).sort(compareNames) : found.sort();
}

/** Called with the error of each entry that a walk could not look at. */
export type Unread = (error: unknown) => void;

/**
 * The metadata of everything at and below `top`, a directory before its entries. No link is
 * followed and no file opened. Entries that disappear meanwhile are left out. An entry that cannot
 * be looked at is reported to `unread`, and the walk continues. The loop may be ended early.
 */
export function* statsBelow(top: string, unread: Unread): Generator<Stats, void> {
  using paths = new TreePaths(top);
  const todo = [''];
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    const here = path;
    const stat = looked(() => lstatSync(paths.at(here)), unread);
    if (!stat) continue;
    yield stat;
    if (!stat.isDirectory()) continue;
    const within = here === '' ? '' : `${here}/`;
    for (const name of looked(() => namesAt(paths.at(here)), unread) ?? [])
      todo.push(within + name);
  }
}

function looked<T>(look: () => T, unread: Unread): T | undefined {
  try {
    return look();
  } catch (error) {
    // ENOTDIR: a directory was replaced since it was listed.
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') unread(error);
    return undefined;
  }
}
