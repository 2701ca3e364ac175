import type { LookListener } from '../../cache/contenthash.ts';
import type { Answered } from '../../registry/exchange.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import type { BuildOptions } from '../build-options.ts';
import { type IdentityNumbers, identityAt, isSameIdentity, NUMBERS } from './identity.ts';
import { indexFiles } from './memo-file.ts';

/**
 * What a build relied on, noted while it runs, for the memo that may be kept of it (keep.ts). It
 * costs a few milliseconds where twenty thousand files are looked at.
 */
export class BuildWatch {
  readonly started = Date.now();
  readonly root: string;
  readonly options: BuildOptions;
  /** The files of the index before the store was opened. */
  readonly index: readonly (IdentityNumbers | undefined)[];
  readonly heads: Answered[] = [];
  readonly paths: string[] = [];
  /** True when a manifest was got by its tag. The next build may ask by HEAD. */
  hasGotTags = false;
  graphs: readonly LlbEdge[] = [];
  /** The directory below which the paths are. Undefined before the first one. */
  tree: string | undefined;
  /** Tells the version of the index, which changes when others write to it. */
  #version: (() => string) | undefined;
  #opened = '';
  /** True when the build relied on something that no memo can name. */
  isUnknown = false;
  /** The ID of its log, when the build has succeeded. */
  id: string | undefined;
  /** What it printed at its end: the ID of the image, or a line about it. */
  printed = '';
  #rows: Float64Array[] = [];
  #next = 0;

  constructor(root: string, options: BuildOptions) {
    this.root = root;
    this.options = options;
    this.index = indexOf(root);
  }

  readonly onAnswer = (asked: Answered): void => {
    if (asked.method === 'HEAD') this.heads.push(asked);
    else if (/\/manifests\/[^/:]+$/.test(asked.url.pathname)) this.hasGotTags = true;
  };

  readonly onLook: LookListener = (root, path, found) => {
    this.tree ??= root;
    if (root !== this.tree || this.paths.length >= MOST_PATHS) {
      this.isUnknown = true;
      return;
    }
    let rows = this.#rows.at(-1);
    if (!rows || this.#next === rows.length) {
      rows = new Float64Array(NUMBERS * Math.min(4096, Math.max(64, this.paths.length)));
      this.#rows.push(rows);
      this.#next = 0;
    }
    this.paths.push(path);
    const at = this.#next;
    this.#next += NUMBERS;
    if (!found) return;
    rows[at] = found.dev;
    rows[at + 1] = found.ino;
    rows[at + 2] = found.size;
    rows[at + 3] = found.mtimeMs;
    rows[at + 4] = found.ctimeMs;
  };

  /** The store was opened, and nothing was read in it yet. */
  opened(version: () => string): void {
    this.#version = version;
    this.#opened = version();
  }

  /** True when nobody else has written into the index since it was opened. */
  isAlone(): boolean {
    return this.#version?.() === this.#opened;
  }

  /** True when nothing was written into the index since the build began. To be asked at its end. */
  foundEverything(): boolean {
    const now = indexOf(this.root);
    return this.index.every((before, at) => isSameIdentity(before, now[at]));
  }

  /** The five numbers of each path, one after the other. All are 0 where nothing was. */
  numbers(): Float64Array {
    const all = new Float64Array(this.paths.length * NUMBERS);
    let at = 0;
    for (const rows of this.#rows) {
      const used = rows === this.#rows.at(-1) ? rows.subarray(0, this.#next) : rows;
      all.set(used, at);
      at += used.length;
    }
    return all;
  }
}

/** A memo with more paths would be too large. */
const MOST_PATHS = 300_000;

/** The identities of the files of the store's index. */
function indexOf(root: string): readonly (IdentityNumbers | undefined)[] {
  return indexFiles(root).map((file) => identityAt(...file));
}
