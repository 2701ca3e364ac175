import { closeSync } from 'node:fs';
import { readlinkat, type Stat, tryStat } from '../sys/calls.ts';
import { O, S } from '../sys/constants.ts';
import { compareNames, decodeName } from '../sys/name-bytes.ts';
import { ERRNO, SysError } from '../sys/native.ts';
import { openBelow, openRoot } from '../sys/rooted.ts';
import { DEEPEST, sortedNamesAt, tooDeep } from '../sys/treepaths.ts';
import { fdPath } from '../sys/xattr.ts';
import { isOpaque, isOpaqueMark, isWhiteout } from './marks.ts';

/** Receives the entries of a layer. `Place` stands for a directory of the layer. */
export interface LayerSink<Place> {
  /** Metadata of the root, if the layer has it. */
  readonly root: Place;
  /** An entry of `parent`. For a directory the result is where its entries go. */
  entry(parent: Place, name: string, listed: Listed): Place;
  /** `name` of the layers below is hidden. */
  whiteout(parent: Place, name: string): void;
  /** Everything that the layers below have in the directory `place` is hidden. */
  opaque(place: Place): void;
}

export interface Listed {
  readonly stat: Stat;
  /** Where a symlink points. */
  readonly target: string;
}

interface Level<Place> {
  readonly fd: number;
  /** What is in the upper directory of the layer under the same path, or -1. */
  readonly over: number;
  readonly place: Place;
  readonly names: readonly string[];
  /** Those of the names that `over` has. */
  readonly replaced: ReadonlySet<string> | undefined;
  next: number;
}

/** How many entries are told before the generator yields. */
const TURN = 512;

/**
 * Tells `sink` the entries of a committed layer, in the order of its tar: names sorted by bytes, a
 * directory before its entries. No file is opened. `directories` are those of
 * `Snapshotter.directories`. It yields now and then, so that the caller can do other things.
 * Entries that disappear meanwhile are left out. Throws KILN_LAYER_LIMIT for a tree that is too
 * deep.
 */
export function* listLayer<Place>(
  directories: readonly string[],
  sink: LayerSink<Place>,
): Generator<void, void> {
  using held = new DisposableStack();
  const [base, upper] = directories.map((path) => held.use(openRoot(path)));
  if (!base) return;
  const top = (fd: number) => openBelow(fd, '', O.RDONLY | O.DIRECTORY);
  const levels = [levelOf(top(base.fd), upper ? top(upper.fd) : -1, sink.root)];
  try {
    if (isOpaque(levels[0]!.fd)) sink.opaque(sink.root);
    let count = 0;
    for (let at = levels.at(-1); at; at = levels.at(-1)) {
      const name = at.names[at.next++];
      if (name === undefined) {
        close(levels.pop()!);
        continue;
      }
      if (++count % TURN === 0) yield;
      const dir = at.replaced?.has(name) ? at.over : at.fd;
      const stat = statIn(dir, name);
      if (!stat || isOpaqueMark(dir, name)) continue;
      if (isWhiteout(stat)) {
        sink.whiteout(at.place, name);
        continue;
      }
      const type = stat.mode & S.IFMT;
      const target = type === S.IFLNK ? decodeName(readlinkat(dir, name)) : '';
      const place = sink.entry(at.place, name, { stat, target });
      if (type !== S.IFDIR) continue;
      if (levels.length > DEEPEST) throw tooDeep(name);
      levels.push(entered(at, dir, name, place));
      const inner = levels.at(-1)!;
      if (isOpaque(inner.fd, inner.names)) sink.opaque(place);
    }
  } finally {
    levels.forEach(close);
  }
}

/** Opens the directory `name`, which `dir` has: one of the two of `at`. */
function entered<Place>(at: Level<Place>, dir: number, name: string, place: Place): Level<Place> {
  const open = (from: number) => openBelow(from, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  const lower = dir === at.fd ? undefined : statIn(at.fd, name);
  if (!lower || (lower.mode & S.IFMT) !== S.IFDIR) return levelOf(open(dir), -1, place);
  const fd = open(at.fd);
  try {
    return levelOf(fd, open(dir), place);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function levelOf<Place>(fd: number, over: number, place: Place): Level<Place> {
  try {
    const own = sortedNamesAt(fdPath(fd));
    if (over < 0) return { fd, over, place, names: own, replaced: undefined, next: 0 };
    const replaced = new Set(sortedNamesAt(fdPath(over)));
    const names = [...new Set([...own, ...replaced])].sort(compareNames);
    return { fd, over, place, names, replaced, next: 0 };
  } catch (error) {
    close({ fd, over });
    throw error;
  }
}

function close({ fd, over }: Pick<Level<unknown>, 'fd' | 'over'>): void {
  closeSync(fd);
  if (over >= 0) closeSync(over);
}

function statIn(dir: number, name: string): Stat | undefined {
  const stat = tryStat(dir, name);
  if (typeof stat !== 'number') return stat;
  if (stat === ERRNO['ENOENT']) return undefined;
  throw new SysError('statx', stat, name);
}
