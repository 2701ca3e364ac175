/**
 * The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`. `*` matches any text and `?` one character.
 * `\*`, `\?` and `\\` match themselves, as do `\}` and `\/`, which would otherwise end the pattern.
 * There are no bracket expressions. As in Go's regular expressions, which Docker uses, neither
 * wildcard matches a line break.
 */
type Piece =
  | { readonly kind: 'char'; readonly char: string }
  | { readonly kind: 'one' }
  | { readonly kind: 'star' };

/** Why a pattern is not valid. The text is Docker's. */
export class PatternError extends Error {}

function piecesOf(pattern: readonly string[]): Piece[] {
  const pieces: Piece[] = [];
  for (let i = 0; i < pattern.length; i++) {
    let char = pattern[i]!;
    if (char === '*') pieces.push({ kind: 'star' });
    else if (char === '?') pieces.push({ kind: 'one' });
    else {
      if (char === '\\') {
        if (pattern[i + 1] === '}' || pattern[i + 1] === '/') continue;
        char = pattern[++i] ?? '\ufffd';
        if (char !== '*' && char !== '?' && char !== '\\')
          throw new PatternError(`invalid escape '\\${char}'`);
      }
      pieces.push({ kind: 'char', char });
    }
  }
  return pieces;
}

/** Is told of work before it is done, and throws when that is too much. */
export type Spend = (work: number) => void;

/** To split a value into characters and join them again takes as long as to match 15 pieces. */
const SPLITTING = 15;

/**
 * For each start in `value` (including its end): where a match ends that begins there, or -1. A
 * star prefers the longest text when `greedy`, and the shortest otherwise. A backtracking engine
 * finds the same match first, but this takes the time |pattern| × |value| instead of exponential
 * time.
 */
function matchEnds(
  pattern: readonly string[],
  value: readonly string[],
  greedy: boolean,
  spend: Spend,
): Int32Array {
  const pieces = piecesOf(pattern);
  spend((pieces.length + SPLITTING) * value.length);
  let after = new Int32Array(value.length + 1).map((_, i) => i);
  for (let p = pieces.length - 1; p >= 0; p--) {
    const piece = pieces[p]!;
    const here = new Int32Array(value.length + 1).fill(-1);
    if (piece.kind === 'star') here[value.length] = after[value.length]!;
    for (let i = value.length - 1; i >= 0; i--) {
      const char = value[i]!;
      if (piece.kind === 'star') {
        const longer = char === '\n' ? -1 : here[i + 1]!;
        const shorter = after[i]!;
        here[i] = greedy ? (longer >= 0 ? longer : shorter) : shorter >= 0 ? shorter : longer;
      } else if (piece.kind === 'one' ? char !== '\n' : char === piece.char) {
        here[i] = after[i + 1]!;
      }
    }
    after = here;
  }
  return after;
}

/** `value` without the shortest (longest when `greedy`) match of `pattern` at its beginning. */
export function trimPrefix(pattern: string, value: string, greedy: boolean, spend: Spend): string {
  const chars = [...value];
  const end = matchEnds([...pattern], chars, greedy, spend)[0]!;
  return end < 0 ? value : chars.slice(end).join('');
}

/**
 * The same at the end of `value`. Both texts are reversed, so that the nearest end is found first.
 */
export function trimSuffix(pattern: string, value: string, greedy: boolean, spend: Spend): string {
  const chars = [...value].reverse();
  const end = matchEnds(reversed([...pattern]), chars, greedy, spend)[0]!;
  return end < 0 ? value : chars.slice(end).reverse().join('');
}

/** The pattern reversed, with each escape still before the character that it protects. */
function reversed(pattern: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === '\\' && i + 1 < pattern.length) {
      out.push(pattern[i + 1]!, '\\');
      i++;
    } else {
      out.push(pattern[i]!);
    }
  }
  return out.reverse();
}

/** Replaces the first match of `pattern`, or `all` of them, each as long as possible. */
export function replacePattern(
  pattern: string,
  value: string,
  replacement: string,
  all: boolean,
  spend: Spend,
): string {
  const chars = [...value];
  const ends = matchEnds([...pattern], chars, true, spend);
  return all ? replaceAll(chars, ends, replacement, spend) : replaceFirst(chars, ends, replacement);
}

function replaceFirst(chars: readonly string[], ends: Int32Array, replacement: string): string {
  const start = ends.findIndex((end) => end >= 0);
  if (start < 0) return chars.join('');
  return chars.slice(0, start).join('') + replacement + chars.slice(ends[start]!).join('');
}

/** An empty match right after another match does not count, as in Go. */
function replaceAll(
  chars: readonly string[],
  ends: Int32Array,
  replacement: string,
  spend: Spend,
): string {
  const out: string[] = [];
  let copied = 0;
  let lastEnd = 0;
  for (let start = 0; start <= chars.length; ) {
    const end = ends[start]!;
    if (end < 0) {
      start++;
      continue;
    }
    for (; copied < start; copied++) out.push(chars[copied]!);
    if (end > lastEnd || start === 0) {
      spend(replacement.length);
      out.push(expandTemplate(replacement, chars, start, end));
    }
    copied = end;
    lastEnd = end;
    start = Math.max(end, start + 1);
  }
  for (; copied < chars.length; copied++) out.push(chars[copied]!);
  return out.join('');
}

/**
 * With `//`, Docker's replacement is a template: `$0` is the match, `$$` a dollar, and any other
 * `$name` is empty. (A dollar gets here only when it was escaped or comes from a variable's value.)
 */
function expandTemplate(
  template: string,
  chars: readonly string[],
  start: number,
  end: number,
): string {
  if (!template.includes('$')) return template;
  return template.replace(
    /\$(?:(\$)|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu,
    (_, dollar, braced, plain) => {
      if (dollar) return '$';
      return (braced ?? plain) === '0' ? chars.slice(start, end).join('') : '';
    },
  );
}
