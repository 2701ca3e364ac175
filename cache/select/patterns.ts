import { BadPatternError, compileGoPattern, pieceToRegExp } from './gomatch.ts';

/**
 * A list of include or exclude patterns with the meaning that github.com/moby/patternmatcher gives them: `**` crosses slashes, a
 * match of a directory is a match of all below it, `!pattern` takes back, and the last word counts. A walk from the root passes
 * each directory's `Matched` on to what is below, so that a path is tried on its own name only.
 */
export interface PatternList {
  /** Is `path` (relative, `/`-separated) matched? `parent` is what this returned for the directory above; ROOT for the top. */
  match(path: string, parent: Matched): { readonly matched: boolean; readonly info: Matched };
  /** False when nothing at or below the directory `path` can match: no need to look. Never false when unsure. */
  mayMatchBelow(path: string, info: Matched): boolean;
}

/** For each pattern: did it match this path or a directory above it? Empty at the root. */
export type Matched = readonly boolean[];
export const ROOT: Matched = [];

/** Throws BadPatternError. Blank patterns are dropped, the others trimmed and cleaned as Go's filepath.Clean does. */
export function compilePatterns(patterns: readonly string[]): PatternList {
  const list = patterns.flatMap(parse);
  return {
    match: (path, parent) => matchAll(list, path, parent),
    mayMatchBelow: (path, info) => list.some((one, at) => !one.negated && (info[at] === true || one.mayMatchBelow(path))),
  };
}

interface One {
  readonly negated: boolean;
  readonly matches: (path: string) => boolean;
  readonly mayMatchBelow: (directory: string) => boolean;
}

function matchAll(list: readonly One[], path: string, parent: Matched): { matched: boolean; info: Matched } {
  const info: boolean[] = new Array(list.length).fill(false);
  let matched = false;
  for (let at = 0; at < list.length; at++) {
    const one = list[at]!;
    let hit = parent[at] === true;
    // What cannot change the verdict is not tried, and so is not known further down either: that is patternmatcher's rule.
    if (!hit && one.negated === matched) hit = one.matches(path) || (parent.length === 0 && parentMatches(one, path));
    info[at] = hit;
    if (hit) matched = !one.negated;
  }
  return { matched, info };
}

/** Without results for the directories above, they are tried one by one. */
function parentMatches(one: One, path: string): boolean {
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    if (one.matches(path.slice(0, slash))) return true;
  }
  return false;
}

function parse(raw: string): One[] {
  let pattern = raw.trim();
  if (pattern === '') return [];
  pattern = cleanPath(pattern);
  const negated = pattern.startsWith('!');
  if (negated) pattern = pattern.slice(1);
  if (pattern === '') throw new BadPatternError(raw);
  compileGoPattern(pattern);
  return [{ negated, matches: compileMatch(pattern), mayMatchBelow: compilePrefix(pattern) }];
}

function compileMatch(pattern: string): (path: string) => boolean {
  if (!/[*?[\]\\]/.test(pattern)) return (path) => path === pattern;
  const regexp = new RegExp(`^${toRegExp(pattern)}$`, 'su');
  return (path) => regexp.test(path);
}

/** `**` (with a following slash, if any) is any run, everything else as in gomatch.ts. */
function toRegExp(pattern: string): string {
  const chars = [...pattern];
  let out = '';
  for (let at = 0; at < chars.length; ) {
    if (chars[at] === '*' && chars[at + 1] === '*') {
      at += chars[at + 2] === '/' ? 3 : 2;
      out += at >= chars.length ? '.*' : '(?:.*/)?';
      continue;
    }
    const [text, next] = pieceToRegExp(pattern, chars, at);
    out += text;
    at = next;
  }
  return out;
}

/** Can anything below `directory` match? Component by component, up to the first `**`. */
function compilePrefix(pattern: string): (directory: string) => boolean {
  const parts = pattern.split('/');
  const deep = parts.findIndex((part) => part.includes('**'));
  const fixed = (deep < 0 ? parts : parts.slice(0, deep)).map(compileMatch);
  return (directory) => {
    const names = directory.split('/');
    if (deep < 0 && names.length >= parts.length) return false;
    for (let at = 0; at < names.length && at < fixed.length; at++) if (!fixed[at]!(names[at]!)) return false;
    return true;
  };
}

/** Go's filepath.Clean: no doubled slashes, no `.`, `..` taken against what is before it. The empty path is `.`. */
export function cleanPath(path: string): string {
  const rooted = path.startsWith('/');
  const out: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') out.push(part);
    else if (out.length > 0 && out.at(-1) !== '..') out.pop();
    else if (!rooted) out.push('..');
  }
  return rooted ? `/${out.join('/')}` : out.join('/') || '.';
}
