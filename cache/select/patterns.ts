import { badPattern } from '../../base/gomatch.ts';
import { cleanPath } from '../../base/gopath.ts';
import { compilePattern, type PathTest, SplitPath } from '../../base/pathpattern.ts';

/**
 * A list of include or exclude patterns with the semantics of github.com/moby/patternmatcher: `**`
 * crosses slashes, a match of a directory is a match of everything below it, `!pattern` negates,
 * and the last matching pattern decides. A walk from the root passes the `Matched` of each
 * directory on to the entries below, so that only a path's own name has to be tried.
 */
export interface PatternList {
  /**
   * Whether `path` (relative, `/`-separated) is matched. `parent` is the result for the directory
   * above, or ROOT for the top.
   */
  match(path: string, parent: Matched): { readonly matched: boolean; readonly info: Matched };
  /**
   * False when nothing below the directory `path` can match, so that it need not be searched. Never
   * false when that is uncertain.
   */
  mayMatchBelow(path: string, info: Matched): boolean;
}

/** For each pattern, whether it matched this path or a directory above it. Empty at the root. */
export type Matched = readonly boolean[];
export const ROOT: Matched = [];

/**
 * Throws KILN_BAD_PATTERN. Blank patterns are dropped; the others are trimmed and cleaned as Go's
 * filepath.Clean does.
 */
export function compilePatterns(patterns: readonly string[]): PatternList {
  const list = patterns.flatMap(parse);
  return {
    match: (path, parent) => matchAll(list, path, parent),
    mayMatchBelow: (path, info) =>
      list.some(({ back, test }, at) => !back && (info[at] === true || test.reachesBelow(path))),
  };
}

interface Rule {
  /** True for a negated pattern (`!pattern`). */
  readonly back: boolean;
  readonly test: PathTest;
}

function matchAll(
  list: readonly Rule[],
  path: string,
  parent: Matched,
): { matched: boolean; info: Matched } {
  const info: boolean[] = new Array(list.length).fill(false);
  let matched = false;
  const split = new SplitPath(path);
  for (let at = 0; at < list.length; at++) {
    const { back, test } = list[at]!;
    let hit = parent[at] === true;
    // A pattern that cannot change the result is not tried, and therefore does not count as matched
    // further down. This is the rule of patternmatcher.
    if (!hit && back === matched)
      hit = test.matches(split) || (parent.length === 0 && parentMatches(test, path));
    info[at] = hit;
    if (hit) matched = !back;
  }
  return { matched, info };
}

/** When there are no results for the directories above, they are tried one by one. */
function parentMatches(test: PathTest, path: string): boolean {
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    if (test.matches(new SplitPath(path.slice(0, slash)))) return true;
  }
  return false;
}

function parse(raw: string): Rule[] {
  let pattern = raw.trim();
  if (pattern === '') return [];
  pattern = cleanPath(pattern);
  const back = pattern.startsWith('!');
  if (back) pattern = pattern.slice(1);
  const test = pattern === '' ? undefined : compilePattern(pattern);
  if (!test) throw badPattern(pattern || raw);
  return [{ back, test }];
}
