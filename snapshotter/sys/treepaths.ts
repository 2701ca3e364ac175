import { closeSync, constants, lstatSync, openSync, readdirSync, type Stats } from 'node:fs';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { compareNames, decodeName, fsName, nameBytes } from './name-bytes.ts';

/**
 * # Trees that are deeper than a path is long
 *
 * The kernel takes paths of at most 4,095 bytes, and a tree may be deeper: `mkdir` and `cd` in a
 * loop is enough, and the store's own directory stands before all that a step has made. So whoever
 * walks a tree that is not ours with node:fs takes its paths from here:
 *
 *     using paths = new TreePaths(root);
 *     const stat = lstatSync(paths.at('a/b'));
 *
 * A short path is `root/a/b`, as fast as ever. For a long one, directories on the way are held
 * open, and the path begins at the last of them (`/proc/self/fd/N/…`). It is made for walks: paths
 * of one region, one after the other. Errors are those that a short path gives.
 *
 * As with any path, links on the way are followed, out of the tree too: good for the names and the
 * metadata of a walk, which steps through none. Whoever reads or removes goes by descriptor
 * (rooted.ts, removal.ts).
 */
export class TreePaths implements Disposable {
  readonly #top: string;
  /** So many UTF-16 units are short in any case: each takes at most three bytes. */
  readonly #short: number;
  /**
   * Open directories on the way to the last long path; `prefix` ends in a slash, and is '' for the
   * top.
   */
  readonly #held: { readonly prefix: string; readonly fd: number }[] = [];

  constructor(top: string) {
    this.#top = top;
    this.#short = Math.floor((REACH - Buffer.byteLength(top)) / 3);
  }

  /**
   * What node:fs finds `path` of the tree at, until the next call; '' is the top. In the text form
   * of names.ts, as is `path`.
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
      const room = last ? STEP : REACH - Buffer.byteLength(base);
      if (rest.length * 3 <= room || Buffer.byteLength(rest) <= room) return `${base}/${rest}`;
      // Cut where the path says so, not where it ends: neighbours share what is held.
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

/** Bytes of a path that are used at most; the kernel takes 4,095. */
const REACH = 3800;
/**
 * Bytes from one held directory to the next: a path is looked up anew for each file, so a shorter
 * one is quicker.
 */
const STEP = 1200;
const O_PATH = 0o10000000;

/**
 * Directories within directories that are read into a list of paths, or an archive. Deeper ones are
 * refused: the paths of all entries grow with the square of the depth. Removing, and counting
 * bytes, know no such bound.
 */
export const DEEPEST = 2048;

/** A path as a message shows it: a long one by its ends. In text form, absolute. */
export function shownPath(path: string): string {
  const full = `/${path.replace(/^\/+/, '')}`;
  if (full.length <= SHOWN) return JSON.stringify(full);
  return `${JSON.stringify(`${full.slice(0, SHOWN / 2)}…${full.slice(-SHOWN / 2)}`)} (${nameBytes(full).length} bytes)`;
}

const SHOWN = 200;

/** KILN_LAYER_LIMIT for a directory at `path` that is deeper than DEEPEST. */
export function tooDeep(path: string): KilnError {
  return new KilnError('KILN_LAYER_LIMIT', `${shownPath(path)} is more than ${DEEPEST} directories deep`, {
    hint: 'what made it was most likely caught in a loop: remove it (rm -rf), or leave it out (.dockerignore, COPY --exclude)',
  });
}

/**
 * The names in a directory in the text form of names.ts, in no order. `at` is what `TreePaths.at`
 * gave.
 */
export function namesAt(at: string | Buffer): string[] {
  const found = readdirSync(at);
  // U+FFFD stands for bytes that are not UTF-8 (or for itself): only then is the slower, lossless
  // way worth taking.
  return found.join('/').includes('\ufffd') ? readdirSync(at, 'buffer').map(decodeName) : found;
}

/** The same, sorted by bytes. */
export function sortedNamesAt(at: string | Buffer): string[] {
  const found = readdirSync(at);
  // Above U+D7FF UTF-16 sorts otherwise than bytes do; U+FFFD is among them.
  return /[\ud800-\uffff]/.test(found.join('/')) ? namesAt(at).sort(compareNames) : found.sort();
}

/** What a walk met and could not look at. */
export type Unread = (error: unknown) => void;

/**
 * Everything at and below `top`, the metadata of each, a directory before what is in it; no link is
 * followed and no file opened. What goes away meanwhile is left out. What cannot be looked at is
 * told to `unread`, and the walk goes on with the rest. Ending the loop early is well.
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
    for (const name of looked(() => namesAt(paths.at(here)), unread) ?? []) todo.push(within + name);
  }
}

function looked<T>(look: () => T, unread: Unread): T | undefined {
  try {
    return look();
  } catch (error) {
    // ENOTDIR: a directory that became something else since it was listed.
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') unread(error);
    return undefined;
  }
}
