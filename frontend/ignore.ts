import { digestOfParts } from '../base/digest.ts';
import { KilnError, type Place, type SourceText } from '../base/errors.ts';
import { cleanPath } from '../base/gopath.ts';
import { compilePattern, type PathTest, SplitPath } from '../base/pathpattern.ts';
import { trimSpace } from './gotext.ts';

/**
 * # .dockerignore
 *
 * Which paths of a context are not there as far as the build is concerned. Lines are patterns in
 * order, the last one that matches a path or one of its parents decides, `!` brings back.
 * Dockerfile reference, ".dockerignore files"; the details are those of moby/patternmatcher walked
 * from the root, which is how Docker reads a context.
 */
export interface IgnoreFile {
  readonly source: SourceText;
  readonly patterns: readonly IgnorePattern[];
}

export interface IgnorePattern {
  /**
   * Cleaned, with `!` in front when it brings back; what BuildKit hands on as an exclude pattern.
   */
  readonly text: string;
  /** Its line in the file, from 1. */
  readonly line: number;
}

/** Reads the text. Throws KILN_DOCKERIGNORE_PATTERN for a pattern that cannot be one. */
export function parseIgnore(source: SourceText): IgnoreFile {
  const patterns: IgnorePattern[] = [];
  for (const [index, line] of source.text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    if (line.startsWith('#')) continue;
    const text = trimSpace(line);
    if (text === '') continue;
    const back = text.startsWith('!');
    const path = back ? trimSpace(text.slice(1)) : text;
    patterns.push({ text: (back ? '!' : '') + relativePattern(path), line: index + 1 });
  }
  const file = { source, patterns };
  for (const pattern of patterns) compiled(pattern, file);
  return file;
}

/** The rules of patterns. A file is compiled when it is read, to find what is malformed in it. */
const rulesOf = new WeakMap<IgnorePattern, Rule | 'none'>();

function compiled(pattern: IgnorePattern, file: IgnoreFile | undefined): Rule | undefined {
  let rule = rulesOf.get(pattern);
  if (rule === undefined) rulesOf.set(pattern, (rule = compileOne(pattern, file) ?? 'none'));
  return rule === 'none' ? undefined : rule;
}

function relativePattern(path: string): string {
  if (path === '') return '';
  const clean = cleanPath(path);
  return clean.length > 1 && clean.startsWith('/') ? clean.slice(1) : clean;
}

/** Has the shape of the context walker's filter (cache/contenthash.ts), and can say why. */
export interface IgnoreFilter {
  /** Identity: equal patterns, equal id. */
  readonly id: string;
  /** False when `path` (relative, `/` between names) is excluded. */
  includes(path: string, isDirectory: boolean): boolean;
  /** True when nothing below the excluded directory `path` can be included again. */
  prune(path: string): boolean;
  /** The pattern that excludes `path`, and its place; undefined when it is included. */
  explain(path: string): IgnoreReason | undefined;
}

export interface IgnoreReason {
  readonly pattern: string;
  readonly place: Place | undefined;
}

interface Rule {
  readonly pattern: IgnorePattern;
  readonly back: boolean;
  readonly test: PathTest;
}

function compileOne(pattern: IgnorePattern, file: IgnoreFile | undefined): Rule | undefined {
  const trimmed = trimSpace(pattern.text);
  if (trimmed === '') return undefined;
  const clean = cleanPath(trimmed);
  const back = clean.startsWith('!');
  const body = back ? clean.slice(1) : clean;
  const test = body === '' ? undefined : compilePattern(body);
  if (test) return { pattern, back, test };
  const message =
    body === ''
      ? 'illegal exclusion pattern: "!"'
      : `syntax error in pattern ${JSON.stringify(body)}`;
  const hint =
    body === '' ? 'write a path after the !' : 'close every [ with ] and end no pattern with \\';
  throw new KilnError('KILN_DOCKERIGNORE_PATTERN', message, {
    place: file && placeOf(file, pattern),
    hint,
  });
}

function placeOf(file: IgnoreFile, pattern: IgnorePattern): Place {
  const position = { line: pattern.line, column: 0 };
  return { kind: 'source', source: file.source, start: position, end: position };
}

/** Compiles patterns to a filter: those of a file, or bare ones such as COPY's `--exclude`. */
export function ignoreFilter(from: IgnoreFile | readonly string[]): IgnoreFilter {
  const file = 'patterns' in from ? from : undefined;
  const patterns =
    file?.patterns ?? (from as readonly string[]).map((text, i) => ({ text, line: i + 1 }));
  const rules = patterns
    .map((pattern) => compiled(pattern, file))
    .filter((rule) => rule !== undefined);
  const walk = rules.some(({ back }) => back) ? orderedWalk(rules) : simpleWalk(rules);
  return {
    id: digestOfParts(rules.map(({ pattern }) => pattern.text)),
    includes: (path) => !walk.excludes(path),
    prune: (path) =>
      walk.excludes(path) && !rules.some(({ back, test }) => back && test.reachesBelow(path)),
    explain: (path) => {
      const rule = orderedWalk(rules).decider(path);
      if (!rule) return undefined;
      return { pattern: rule.pattern.text, place: file && placeOf(file, rule.pattern) };
    },
  };
}

/**
 * Without `!`, a path is excluded when any pattern matches it or a parent: order does not matter.
 */
function simpleWalk(rules: readonly Rule[]): { excludes(path: string): boolean } {
  const exact = new Set(rules.flatMap(({ test }) => test.exact ?? []));
  const patterns = new Map(rules.map(({ pattern, test }) => [pattern.text, test]));
  const tests = [...patterns.values()].filter((test) => test.exact === undefined);
  const directories = new Map<string, boolean>();
  const directory = (path: string): boolean => {
    let excluded = directories.get(path);
    if (excluded === undefined) {
      excluded = excludes(path);
      directories.set(path, excluded);
    }
    return excluded;
  };
  const excludes = (path: string): boolean => {
    if (exact.has(path)) return true;
    const split = new SplitPath(path);
    for (const test of tests) if (test.matches(split)) return true;
    const slash = path.lastIndexOf('/');
    return slash > 0 && directory(path.slice(0, slash));
  };
  return { excludes: (path) => path !== '.' && path !== '' && excludes(path) };
}

/**
 * What a directory tells its children: which rules matched it or a parent, where they were asked at
 * all.
 */
interface Verdict {
  readonly matched: Uint8Array;
  readonly excludedBy: Rule | undefined;
}

/**
 * With `!`, rules are asked in order, and a rule that could not change the verdict so far is not
 * asked; what it would have said is then not known for the children either. That last part is an
 * accident of the implementation that Docker's users depend on.
 */
function orderedWalk(rules: readonly Rule[]): {
  excludes(path: string): boolean;
  decider(path: string): Rule | undefined;
} {
  const directories = new Map<string, Verdict>();
  const directory = (path: string): Verdict => {
    let verdict = directories.get(path);
    if (!verdict) {
      verdict = judge(path);
      directories.set(path, verdict);
    }
    return verdict;
  };
  const judge = (path: string): Verdict => {
    const slash = path.lastIndexOf('/');
    const above = slash > 0 ? directory(path.slice(0, slash)).matched : undefined;
    const matched = new Uint8Array(rules.length);
    const split = new SplitPath(path);
    let excludedBy: Rule | undefined;
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!;
      if (above?.[i] !== 1) {
        if (rule.back !== (excludedBy !== undefined)) continue;
        if (!rule.test.matches(split)) continue;
      }
      matched[i] = 1;
      excludedBy = rule.back ? undefined : rule;
    }
    return { matched, excludedBy };
  };
  const decider = (path: string) =>
    path === '.' || path === '' ? undefined : judge(path).excludedBy;
  return { decider, excludes: (path) => decider(path) !== undefined };
}

export interface SuspiciousPattern {
  readonly pattern: IgnorePattern;
  /** What it seems to mean and does not, as the end of a sentence. */
  readonly why: string;
}

/**
 * Patterns that cannot do what whoever wrote them seems to want. Docker takes them without a word.
 */
export function suspiciousPatterns(file: IgnoreFile): readonly SuspiciousPattern[] {
  return file.patterns.flatMap((pattern, index) => {
    const why = suspicion(pattern.text, index === 0);
    return why === undefined ? [] : [{ pattern, why }];
  });
}

function suspicion(text: string, isFirst: boolean): string | undefined {
  if (/\s#/.test(text)) return 'a comment cannot follow a pattern: the whole line is a path';
  if (/^!?(["']).*\1$/.test(text)) return 'the quotes are part of the path';
  if (/^!?\.\.(?:\/|$)/.test(text)) return 'no path of the context begins with ..';
  if (isFirst && text.startsWith('!')) return 'an exception in the first line has no effect';
  return undefined;
}
