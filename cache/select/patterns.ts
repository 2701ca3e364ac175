import { badPattern } from '../../base/gomatch.ts';
import { cleanPath } from '../../base/gopath.ts';
import { compilePattern, type PathTest, SplitPath } from '../../base/pathpattern.ts';

/**
 * A list of include or exclude patterns with the meaning that github.com/moby/patternmatcher gives them: `**` crosses slashes, a
 * match of a directory is a match of all below it, `!pattern` takes back, and the last word counts. A walk from the root passes
 * each directory's `Matched` on to what is below, so that a path is tried on its own name only.
 */
export interface PatternList {
  /** Is `path` (relative, `/`-separated) matched? `parent` is what this returned for the directory above; ROOT for the top. */
  match(path: string, parent: Matched): { readonly matched: boolean; readonly info: Matched };
  /** False when nothing below the directory `path` can match: no need to look. Never false when unsure. */
  mayMatchBelow(path: string, info: Matched): boolean;
}

/** For each pattern: did it match this path or a directory above it? Empty at the root. */
export type Matched = readonly boolean[];
export const ROOT: Matched = [];

/** Throws KILN_BAD_PATTERN. Blank patterns are dropped, the others trimmed and cleaned as Go's filepath.Clean does. */
export function compilePatterns(patterns: readonly string[]): PatternList {
  const list = patterns.flatMap(parse);
  return {
    match: (path, parent) => matchAll(list, path, parent),
    mayMatchBelow: (path, info) => list.some(({ back, test }, at) => !back && (info[at] === true || test.reachesBelow(path))),
  };
}

interface Rule {
  /** Brings back: `!pattern`. */
  readonly back: boolean;
  readonly test: PathTest;
}

function matchAll(list: readonly Rule[], path: string, parent: Matched): { matched: boolean; info: Matched } {
  const info: boolean[] = new Array(list.length).fill(false);
  let matched = false;
  const split = new SplitPath(path);
  for (let at = 0; at < list.length; at++) {
    const { back, test } = list[at]!;
    let hit = parent[at] === true;
    // What cannot change the verdict is not tried, and so is not known further down either: that is patternmatcher's rule.
    if (!hit && back === matched) hit = test.matches(split) || (parent.length === 0 && parentMatches(test, path));
    info[at] = hit;
    if (hit) matched = !back;
  }
  return { matched, info };
}

/** Without results for the directories above, they are tried one by one. */
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
