import { compileMatch } from './gomatch.ts';
import { compileNames, isPlain } from './pathnames.ts';

/**
 * A path relative to the root. It is split at `/` only when a pattern needs that, and only once.
 */
export class SplitPath {
  readonly text: string;
  #names: readonly string[] | undefined;

  constructor(text: string) {
    this.text = text;
  }

  get names(): readonly string[] {
    this.#names ??= this.text.split('/');
    return this.#names;
  }
}

/** One compiled pattern of a .dockerignore, of `COPY --exclude` or of an include list. */
export interface PathTest {
  /** Set when the pattern matches exactly this path and no other. */
  readonly exact?: string;
  matches(path: SplitPath): boolean;
  /**
   * False when the pattern cannot match anything below the directory `path`. True does not promise
   * that it can.
   */
  reachesBelow(path: string): boolean;
}

/**
 * Compiles a cleaned pattern: `*` and `?` stay within a name, `**` crosses names, `[…]` is a class,
 * and `\` escapes. The result is undefined when the pattern is malformed. The steps follow
 * moby/patternmatcher, which turns a pattern into a Go regular expression piece by piece. Patterns
 * without a wildcard, or with only a `**` at one end, are compared as text.
 */
export function compilePattern(pattern: string): PathTest | undefined {
  if (!isWellFormed(pattern)) return undefined;
  const { kind, expression, quantifiers } = translate(pattern);
  const reachesBelow = belowTest(pattern);
  if (kind === 'exact')
    return { exact: pattern, matches: ({ text }) => text === pattern, reachesBelow };
  if (kind === 'prefix') {
    const prefix = pattern.slice(0, -2);
    return { matches: ({ text }) => text.startsWith(prefix), reachesBelow };
  }
  if (kind === 'suffix') {
    const suffix = pattern.slice(2);
    const bare = suffix.startsWith('/') ? suffix.slice(1) : undefined;
    return { matches: ({ text }) => text.endsWith(suffix) || text === bare, reachesBelow };
  }
  // A class with a reversed range is well-formed to the parser, but is not a valid regular
  // expression.
  const plain =
    isPlain(pattern) && (!pattern.includes('[') || tryRegExp(expression, 'u') !== undefined);
  if (plain) return { matches: plainTest(pattern), reachesBelow };
  const expressionTest = compileExpression(expression, quantifiers);
  return expressionTest && { matches: ({ text }) => expressionTest(text), reachesBelow };
}

/**
 * The quickest test of a pattern for which `isPlain` is true. Splitting a path costs more than most
 * tests.
 */
function plainTest(pattern: string): PathTest['matches'] {
  const rest = pattern.startsWith('**/') ? pattern.slice(3) : pattern;
  if (!rest.includes('**')) {
    const matches = compileMatch(rest);
    if (rest === pattern) return ({ text }) => matches(text);
    if (!rest.includes('/')) return ({ text }) => matches(text.slice(text.lastIndexOf('/') + 1));
  }
  const byNames = compileNames(pattern);
  const [head, tail] = fixedEnds(pattern);
  return (path) => path.text.startsWith(head) && path.text.endsWith(tail) && byNames(path.names);
}

/** The text that every matching path begins with, and the text that it ends with. */
function fixedEnds(pattern: string): readonly [string, string] {
  const head = /^[^*?[]*/.exec(pattern)![0];
  const tail = /[^*?\]]*$/.exec(pattern)![0];
  // The slash after `**` belongs to `**`.
  return [head, tail.startsWith('/') && pattern.endsWith(`**${tail}`) ? tail.slice(1) : tail];
}

function isWellFormed(pattern: string): boolean {
  try {
    compileMatch(pattern);
    return true;
  } catch {
    return false;
  }
}

type Kind = 'exact' | 'prefix' | 'suffix' | 'expression';

/**
 * The text of the regular expression, the cheapest way to test it, and the number of its wildcards
 * that match any number of characters.
 */
function translate(pattern: string): { kind: Kind; expression: string; quantifiers: number } {
  let kind: Kind = 'exact';
  let expression = '^';
  let quantifiers = 0;
  const chars = [...pattern];
  for (let i = 0, turn = 0; i < chars.length; turn++) {
    const char = chars[i++]!;
    if (char === '*' && chars[i] === '*') {
      i++;
      if (chars[i] === '/') i++;
      quantifiers++;
      if (i < chars.length) {
        expression += '(?:.*/)?';
        kind = 'expression';
      } else if (kind === 'exact') kind = 'prefix';
      else {
        expression += '.*';
        kind = 'expression';
      }
      if (turn === 0) kind = 'suffix';
    } else if (char === '*') {
      expression += '[^/]*';
      quantifiers++;
      kind = 'expression';
    } else if (char === '?') {
      expression += '[^/]';
      kind = 'expression';
    } else if (char === '\\') {
      if (i < chars.length) {
        const escaped = chars[i++]!;
        expression += escaped === 'a' ? '\\x07' : `\\${escaped}`;
        kind = 'expression';
      } else expression += '\\';
    } else if (char === '[' || char === ']') {
      expression += char;
      kind = 'expression';
    } else {
      expression += '.+()|{}$'.includes(char) ? `\\${char}` : char;
    }
  }
  return { kind, expression: `${expression}$`, quantifiers };
}

/**
 * These escapes mean a class or a control character to Go's engine and mean the same to
 * JavaScript's. Any other escaped letter is an error in Go.
 */
const KNOWN_ESCAPES = /^[dDsSwWbBftnrvx]$/;

function compileExpression(
  expression: string,
  quantifiers: number,
): ((path: string) => boolean) | undefined {
  for (const [, letter] of expression.matchAll(/\\([A-Za-z0-9])|\\[\s\S]/g))
    if (letter && !KNOWN_ESCAPES.test(letter)) return undefined;
  const compiled = tryRegExp(expression, 'u') ?? tryRegExp(expression, '');
  if (!compiled) return undefined;
  if (quantifiers <= MAX_QUANTIFIERS && expression.length <= LONGEST_EXPRESSION)
    return (path) => compiled.test(path);
  return linearTest(expression);
}

/** A backtracking engine takes up to |path|^n steps when n wildcards fail. */
const MAX_QUANTIFIERS = 1;
/** The engine refuses expressions that are much longer, and only when they are first used. */
const LONGEST_EXPRESSION = 8192;

function tryRegExp(expression: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(expression, flags);
  } catch {
    return undefined;
  }
}

/** One step of an expression made by `translate`: what it matches, and how often. */
interface Step {
  readonly take: RegExp;
  /** `many` for `[^/]*` and `.*`; `folder` for an optional run that ends with `/`. */
  readonly repeat: 'once' | 'many' | 'folder';
}

/**
 * A test without backtracking. It follows all possibilities at once. A path that is too short for
 * the steps is not looked at, so a test takes at most |path| × |path and wildcards|, however long
 * the pattern is.
 */
function linearTest(expression: string): ((path: string) => boolean) | undefined {
  const steps: Step[] = [];
  const known = new Map<string, RegExp>();
  const body = expression.slice(1, -1);
  for (const [piece] of body.matchAll(
    /\(\?:\.\*\/\)\?|\.\*|\[\^\/\]\*|\[(?:\\[\s\S]|[^\]\\])*\]|\\[\s\S]|[\s\S]/gu,
  )) {
    const repeat =
      piece === '(?:.*/)?' ? 'folder' : piece === '.*' || piece === '[^/]*' ? 'many' : 'once';
    const unit = repeat === 'folder' ? '.' : repeat === 'many' ? piece.slice(0, -1) : piece;
    const take = known.get(unit) ?? tryRegExp(`^${unit}$`, 'u') ?? tryRegExp(`^${unit}$`, '');
    if (!take) return undefined;
    known.set(unit, take);
    // Two wildcards of a kind in a row match what one matches.
    const before = steps.at(-1);
    const isAgain = repeat !== 'once' && before?.repeat === repeat && before.take === take;
    if (!isAgain) steps.push({ take, repeat });
  }
  const least = steps.filter(({ repeat }) => repeat === 'once').length;
  return (path) => path.length >= least && runSteps(steps, path);
}

function runSteps(steps: readonly Step[], path: string): boolean {
  /** `inside[s]` is set in the middle of folder step s, before its final slash. */
  let at = new Uint8Array(steps.length + 1);
  let inside = new Uint8Array(steps.length + 1);
  const close = (states: Uint8Array) => {
    for (let s = 0; s < steps.length; s++)
      if (states[s] && steps[s]!.repeat !== 'once') states[s + 1] = 1;
  };
  at[0] = 1;
  close(at);
  for (const char of path) {
    const next = new Uint8Array(steps.length + 1);
    const nextInside = new Uint8Array(steps.length + 1);
    for (const [s, step] of steps.entries()) {
      if (!at[s] && !inside[s]) continue;
      if (!step.take.test(char)) continue;
      if (step.repeat === 'folder') {
        nextInside[s] = 1;
        if (char === '/') next[s + 1] = 1;
      } else if (at[s]) next[step.repeat === 'once' ? s + 1 : s] = 1;
    }
    close(next);
    at = next;
    inside = nextInside;
  }
  return at[steps.length] === 1;
}

/**
 * Compares the names of the pattern with those of a directory. At the first name that could match
 * several it gives up and returns true.
 */
function belowTest(pattern: string): (directory: string) => boolean {
  // A class can match a slash, and the pattern may be split at one inside a class.
  if (pattern.includes('[')) return () => true;
  // Most patterns are never asked, and one may have as many names as its file has characters.
  let names: readonly string[] | undefined;
  const tests: ((name: string) => boolean)[] = [];
  return (directory) => {
    names ??= pattern.split('/');
    const path = directory.split('/');
    for (let i = 0; i < path.length; i++) {
      const name = names[i];
      if (name === undefined) return false;
      if (/\*\*|[\\^]/.test(name)) return true;
      const test = (tests[i] ??= compileMatch(name));
      if (!test(path[i]!)) return false;
    }
    return names.length > path.length;
  };
}
