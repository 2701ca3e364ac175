/**
 * Go's `path/filepath.Match` on Linux: `*` any run without `/`, `?` one character but `/`, `[a-z]` and `[^a-z]` one character,
 * `\x` the character itself; the pattern must match the whole name. A pattern is compiled once and tried on many names.
 */
export interface GoPattern {
  readonly source: string;
  matches(name: string): boolean;
}

/** Thrown for what Go calls `syntax error in pattern`. */
export class BadPatternError extends Error {
  readonly pattern: string;

  constructor(pattern: string) {
    super(`syntax error in pattern ${JSON.stringify(pattern)}`);
    this.name = 'BadPatternError';
    this.pattern = pattern;
  }
}

/** Compiles `pattern`; throws BadPatternError. Unlike Go, which finds a fault only when it gets that far, the whole is checked. */
export function compileGoPattern(pattern: string): GoPattern {
  const regexp = new RegExp(`^${toRegExp(pattern)}$`, 'su');
  return { source: pattern, matches: (name) => regexp.test(name) };
}

/** True when the text has a wildcard that is not escaped. */
export function hasWildcard(text: string): boolean {
  return /^(?:[^\\*?[]|\\.)*[*?[]/su.test(text);
}

function toRegExp(pattern: string): string {
  const chars = [...pattern];
  let out = '';
  for (let at = 0; at < chars.length; ) {
    const [text, next] = pieceToRegExp(pattern, chars, at);
    out += text;
    at = next;
  }
  return out;
}

/** The regular expression (with flags `su`) of the piece of `pattern` at `at`, and where the next one begins. */
export function pieceToRegExp(pattern: string, chars: readonly string[], at: number): [text: string, next: number] {
  const char = chars[at]!;
  if (char === '*') return ['[^/]*', at + 1];
  if (char === '?') return ['[^/]', at + 1];
  if (char === '[') return classToRegExp(pattern, chars, at);
  if (char !== '\\') return [quote(char), at + 1];
  const escaped = chars[at + 1];
  if (escaped === undefined) throw new BadPatternError(pattern);
  return [quote(escaped), at + 2];
}

/** A class beginning at `start`. */
function classToRegExp(pattern: string, chars: readonly string[], start: number): [string, number] {
  let at = start + 1;
  const negated = chars[at] === '^';
  if (negated) at++;
  const ranges: string[] = [];
  while (ranges.length === 0 || chars[at] !== ']') {
    const [low, afterLow] = classChar(pattern, chars, at);
    at = afterLow;
    let high = low;
    if (chars[at] === '-') [high, at] = classChar(pattern, chars, at + 1);
    // A range that runs backwards matches nothing in Go and is an error in a RegExp.
    if (low.codePointAt(0)! <= high.codePointAt(0)!) ranges.push(`${quoteInClass(low)}-${quoteInClass(high)}`);
    else ranges.push('');
  }
  const body = ranges.join('');
  if (body === '') return [negated ? '.' : '(?!)', at + 1];
  return [`[${negated ? '^' : ''}${body}]`, at + 1];
}

function classChar(pattern: string, chars: readonly string[], at: number): [string, number] {
  const char = chars[at];
  if (char === undefined || char === '-' || char === ']') throw new BadPatternError(pattern);
  if (char !== '\\') return checked(pattern, chars, char, at + 1);
  const next = chars[at + 1];
  if (next === undefined) throw new BadPatternError(pattern);
  return checked(pattern, chars, next, at + 2);
}

/** Go's getEsc: a class may not end right after a character. */
function checked(pattern: string, chars: readonly string[], char: string, next: number): [string, number] {
  if (next >= chars.length) throw new BadPatternError(pattern);
  return [char, next];
}

function quote(char: string): string {
  return /[\^$\\.*+?()[\]{}|/]/u.test(char) ? `\\${char}` : char;
}

function quoteInClass(char: string): string {
  return /[\^\\[\]-]/u.test(char) ? `\\${char}` : char;
}
