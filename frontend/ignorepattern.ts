import { compileMatch } from './gomatch.ts';
import { compileName, compileNames } from './ignorenames.ts';

/** One pattern of a .dockerignore, compiled. */
export interface PathTest {
  /** Set when the pattern matches this one path and no other. */
  readonly exact?: string;
  /** `names` is `path` split at `/`. */
  matches(path: string, names: readonly string[]): boolean;
  /** False when the pattern can match nothing below the directory `path`. May be true when it cannot either. */
  reachesBelow(path: string): boolean;
}

/**
 * Compiles a cleaned pattern: `*` and `?` stay within a name, `**` crosses them, `[…]` is a class, `\` escapes. Undefined when it is
 * malformed. The steps follow moby/patternmatcher, which turns a pattern into a Go regular expression piece by piece; patterns
 * with no wildcard, or only a `**` at one end, are compared as text.
 */
export function compilePattern(pattern: string): PathTest | undefined {
  if (!isWellFormed(pattern)) return undefined;
  const { kind, expression, quantifiers } = translate(pattern);
  const reachesBelow = (path: string) => mayReachBelow(pattern, path);
  if (kind === 'exact') return { exact: pattern, matches: (path) => path === pattern, reachesBelow };
  if (kind === 'prefix') {
    const prefix = pattern.slice(0, -2);
    return { matches: (path) => path.startsWith(prefix), reachesBelow };
  }
  if (kind === 'suffix') {
    const suffix = pattern.slice(2);
    const bare = suffix.startsWith('/') ? suffix.slice(1) : undefined;
    return { matches: (path) => path.endsWith(suffix) || path === bare, reachesBelow };
  }
  const byNames = compileNames(pattern);
  if (byNames) return { matches: (_, names) => byNames(names), reachesBelow };
  const expressionTest = compileExpression(expression, quantifiers);
  return expressionTest && { matches: expressionTest, reachesBelow };
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

/** The expression's text, the cheapest way to test it, and how many wildcards it has that can take any number of characters. */
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

/** Escapes that mean a class or a control character to Go's engine and the same to JavaScript's; any other letter is an error there. */
const KNOWN_ESCAPES = /^[dDsSwWbBftnrvx]$/;

function compileExpression(expression: string, quantifiers: number): ((path: string) => boolean) | undefined {
  for (const [, letter] of expression.matchAll(/\\([A-Za-z0-9])|\\[\s\S]/g))
    if (letter && !KNOWN_ESCAPES.test(letter)) return undefined;
  const compiled = tryRegExp(expression, 'u') ?? tryRegExp(expression, '');
  if (!compiled) return undefined;
  if (quantifiers <= MAX_QUANTIFIERS) return (path) => compiled.test(path);
  return linearTest(expression);
}

/** A backtracking engine takes up to |path|^n steps for n wildcards that fail. */
const MAX_QUANTIFIERS = 1;

function tryRegExp(expression: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(expression, flags);
  } catch {
    return undefined;
  }
}

/** One step of an expression made by `translate`: what it takes, and how often. */
interface Step {
  readonly take: RegExp;
  /** `many` for `[^/]*` and `.*`; `folder` for an optional run that ends with `/`. */
  readonly repeat: 'once' | 'many' | 'folder';
}

/** Tests without backtracking: follows all possibilities at once, |steps| for each character. */
function linearTest(expression: string): ((path: string) => boolean) | undefined {
  const steps: Step[] = [];
  const body = expression.slice(1, -1);
  for (const [piece] of body.matchAll(/\(\?:\.\*\/\)\?|\.\*|\[\^\/\]\*|\[(?:\\[\s\S]|[^\]\\])*\]|\\[\s\S]|[\s\S]/gu)) {
    const repeat = piece === '(?:.*/)?' ? 'folder' : piece === '.*' || piece === '[^/]*' ? 'many' : 'once';
    const unit = repeat === 'folder' ? '.' : repeat === 'many' ? piece.slice(0, -1) : piece;
    const take = tryRegExp(`^${unit}$`, 'u') ?? tryRegExp(`^${unit}$`, '');
    if (!take) return undefined;
    steps.push({ take, repeat });
  }
  return (path) => runSteps(steps, path);
}

function runSteps(steps: readonly Step[], path: string): boolean {
  /** `inside[s]`: in the middle of folder step s, somewhere before its final slash. */
  let at = new Uint8Array(steps.length + 1);
  let inside = new Uint8Array(steps.length + 1);
  const close = (states: Uint8Array) => {
    for (let s = 0; s < steps.length; s++) if (states[s] && steps[s]!.repeat !== 'once') states[s + 1] = 1;
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

/** Compares the pattern's names with the directory's, and gives up (true) at the first that could be several. */
function mayReachBelow(pattern: string, directory: string): boolean {
  if (pattern.includes('[')) return true;
  const names = pattern.split('/');
  for (const [i, name] of directory.split('/').entries()) {
    const wanted = names[i];
    if (wanted === undefined) return false;
    if (wanted.includes('**') || wanted.includes('\\')) return true;
    if (!wanted.includes('?') && !compileName(wanted)(name)) return false;
  }
  return names.length > directory.split('/').length;
}
