import { KilnError } from '../../base/errors.ts';
import { hasWildcard } from '../../base/gomatch.ts';
import { cleanPath } from '../../base/gopath.ts';
import { DEEPEST, tooDeep } from '../../snapshotter/sys/treepaths.ts';
import type { Selection, Tree } from '../contenthash.ts';
import { isDirectory, isSymlink, type Meta, WalkedEntries } from './entry.ts';
import { missingSource } from './missing.ts';
import { compilePatterns, type Matched, type PatternList, ROOT } from './patterns.ts';
import { resolveVisible } from './resolve-visible.ts';
import type { SelectedSource } from './selected-source.ts';
import { below, type TreeView, viewTree } from './tree-view.ts';
import { expandWildcards } from './wildcard.ts';

/**
 * # The files that a COPY reads
 *
 * There is only one answer to this question: the content hash and the copy both use the entries
 * selected here, so that a key always describes exactly the copied files. Only the directories that
 * the selection needs are searched, and no file is opened.
 *
 * The semantics are BuildKit's (solver/llbsolver/file, tonistiigi/fsutil copy): Go's filepath.Match
 * in sources, links resolved inside the tree, include and exclude patterns relative to each source,
 * with the semantics of patternmatcher. A directory that is only on the way to a selected path
 * comes right before it, marked `implied`.
 *
 * Throws KILN_COPY_SOURCE_MISSING, KILN_COPY_BAD_PATTERN.
 */
export function select(tree: Tree, selection: Selection): readonly SelectedSource[] {
  try {
    return selectAll(tree, selection);
  } catch (error) {
    if (error instanceof KilnError && error.code === 'KILN_BAD_PATTERN')
      throw new KilnError('KILN_COPY_BAD_PATTERN', error.message, {
        hint: 'close every [ with a ]',
        cause: error,
      });
    throw error;
  }
}

function selectAll(tree: Tree, selection: Selection): readonly SelectedSource[] {
  using view = viewTree(tree);
  const patterns = compileSelection(selection);
  const sources: SelectedSource[] = [];
  for (const source of selection.paths) {
    const paths = selection.wildcard
      ? expand(tree, view, selection, source)
      : [cleanPath(`/${source}`).slice(1)];
    for (const path of paths) {
      const last = sources.at(-1)?.entries.at(-1);
      sources.push(walkSource(tree, view, selection, patterns, path, last ? last.index + 1 : 0));
    }
  }
  requireMatches(tree, selection, sources);
  return sources;
}

function expand(
  tree: Tree,
  view: TreeView,
  selection: Selection,
  source: string,
): readonly string[] {
  // As in BuildKit, a backslash is an ordinary character in a source without a wildcard.
  if (!hasWildcard(source)) return [cleanPath(`/${source}`).slice(1)];
  const paths = expandWildcards(view, source, selection.followLinks);
  if (paths === undefined) throw missingSource(tree, fixedPart(source));
  if (paths.length === 0 && !selection.allowEmpty) throw missingSource(tree, source);
  return paths;
}

function fixedPart(source: string): string {
  const parts = cleanPath(`/${source}`).split('/');
  return parts.slice(0, parts.findIndex(hasWildcard)).join('/');
}

interface Patterns {
  readonly include: PatternList | undefined;
  readonly exclude: PatternList | undefined;
  /** True for an exclude list without `!`: everything below an excluded directory is excluded. */
  readonly excludeIsFinal: boolean;
}

function compileSelection(selection: Selection): Patterns {
  const { include, exclude } = selection;
  return {
    include: include?.length ? compilePatterns(include) : undefined,
    exclude: exclude?.length ? compilePatterns(exclude) : undefined,
    excludeIsFinal: !exclude?.some((pattern) => pattern.trim().startsWith('!')),
  };
}

function walkSource(
  tree: Tree,
  view: TreeView,
  selection: Selection,
  patterns: Patterns,
  path: string,
  firstIndex: number,
): SelectedSource {
  const real = resolveVisible(view, path, selection.followLinks);
  const stat = real === undefined ? undefined : view.lstat(real);
  if (real === undefined || stat === undefined) throw missingSource(tree, path, selection.exact);
  const walk = new Walk(
    view,
    patterns,
    new WalkedEntries(real, tree.rootOwned === true),
    firstIndex,
  );
  walk.top(real, stat);
  return { path, entries: walk.entries.all };
}

/**
 * A directory that may turn out to be on the way to a selected path. `index` is set once it is
 * among the entries.
 */
interface Ancestor {
  readonly path: string;
  readonly rel: string;
  readonly name: string;
  readonly stat: Meta;
  readonly above: Ancestor | undefined;
  index: number;
}

/** A directory that the walk is in. */
interface Visit {
  readonly directory: Ancestor;
  readonly included: Matched;
  readonly excluded: Matched;
  readonly names: readonly string[];
  next: number;
}

class Walk {
  readonly entries: WalkedEntries;
  readonly #view: TreeView;
  readonly #patterns: Patterns;
  readonly #firstIndex: number;

  constructor(view: TreeView, patterns: Patterns, entries: WalkedEntries, firstIndex: number) {
    this.entries = entries;
    this.#firstIndex = firstIndex;
    this.#view = view;
    this.#patterns = patterns;
  }

  top(path: string, stat: Meta): void {
    const source: Ancestor = { path, rel: '', name: '', stat, above: undefined, index: -1 };
    source.index = this.#add(path, undefined, '', -1, false, stat);
    if (isDirectory(stat))
      this.#walk({
        directory: source,
        included: ROOT,
        excluded: ROOT,
        names: this.#view.names(path),
        next: 0,
      });
  }

  /** Not recursive: a tree may be deeper than the stack of a thread allows. */
  #walk(top: Visit): void {
    const open = [top];
    for (let visit = open.at(-1); visit; visit = open.at(-1)) {
      const inner = this.#goOn(visit);
      if (!inner) open.pop();
      else if (open.push(inner) > DEEPEST) throw tooDeep(inner.directory.path);
    }
  }

  /**
   * Goes through the remaining names of a directory. Returns the first directory among them that
   * has to be entered.
   */
  #goOn(visit: Visit): Visit | undefined {
    const { include, exclude } = this.#patterns;
    const { directory, included, excluded, names } = visit;
    const within = below(directory.path, '');
    const relWithin = below(directory.rel, '');
    while (visit.next < names.length) {
      const name = names[visit.next++]!;
      const path = within + name;
      const stat = this.#view.lstat(path);
      // The path is hidden, or was removed since the directory was listed. It counts as not
      // existing.
      if (stat === undefined) continue;
      const rel = relWithin + name;
      const inc = include?.match(rel, included);
      const exc = exclude?.match(rel, excluded);
      const selected = inc?.matched !== false && exc?.matched !== true;
      const index = selected
        ? this.#add(path, directory.path, name, this.#indexOf(directory), false, stat)
        : -1;
      if (!isDirectory(stat) || (!selected && this.#isDeadEnd(rel, inc, exc))) continue;
      return {
        directory: { path, rel, name, stat, above: directory, index },
        included: inc?.info ?? ROOT,
        excluded: exc?.info ?? ROOT,
        names: this.#view.names(path),
        next: 0,
      };
    }
    return undefined;
  }

  #isDeadEnd(rel: string, include: Match | undefined, exclude: Match | undefined): boolean {
    if (exclude?.matched && this.#patterns.excludeIsFinal) return true;
    return (
      include !== undefined &&
      !include.matched &&
      !this.#patterns.include!.mayMatchBelow(rel, include.info)
    );
  }

  /**
   * The index of a directory among the entries. When it is missing, it is added as implied,
   * together with the directories above it.
   */
  #indexOf(directory: Ancestor): number {
    const missing: Ancestor[] = [];
    for (let at = directory; at.index < 0; at = at.above!) missing.push(at);
    for (const at of missing.reverse())
      at.index = this.#add(at.path, at.above!.path, at.name, at.above!.index, true, at.stat);
    return directory.index;
  }

  #add(
    path: string,
    directory: string | undefined,
    name: string,
    parent: number,
    implied: boolean,
    stat: Meta,
  ): number {
    const link = isSymlink(stat) ? this.#view.readlink(path) : undefined;
    const index = this.#firstIndex + this.entries.all.length;
    this.entries.add({ directory, name, index, parent, implied, link }, stat);
    return index;
  }
}

interface Match {
  readonly matched: boolean;
  readonly info: Matched;
}

/** Checks that each required pattern matches a selected path. */
function requireMatches(
  tree: Tree,
  selection: Selection,
  sources: readonly SelectedSource[],
): void {
  for (const required of selection.required ?? []) {
    const pattern = compilePatterns([required]);
    const met = sources.some(({ entries }) =>
      entries.some((entry) => entry.rel !== '' && pattern.match(entry.rel, ROOT).matched),
    );
    if (!met) throw missingSource(tree, `${selection.paths[0] ?? ''}/${required}`);
  }
}
