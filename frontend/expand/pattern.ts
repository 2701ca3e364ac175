/**
 * The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*` any text, `?` one character, `\*`, `\?`,
 * `\\` themselves, and `\}`, `\/` for the characters that would end the pattern. No bracket
 * expressions. As in Go's regular expressions, by which Docker matches, neither wildcard matches a
 * line break.
 */
type Piece = { readonly kind: 'char'; readonly char: string } | { readonly kind: 'one' } | { readonly kind: 'star' };

/** Why a pattern is none; the text is Docker's. */
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
        if (char !== '*' && char !== '?' && char !== '\\') throw new PatternError(`invalid escape '\\${char}'`);
      }
      pieces.push({ kind: 'char', char });
    }
  }
  return pieces;
}

/** Work is the product of both lengths; real patterns and values are a few characters long. */
const MAX_WORK = 50_000_000;

/**
 * For each start in `value` (including its end) where a match ends that begins there, or -1. A star
 * prefers the longest text when `greedy` and else the shortest, which is what a backtracking engine
 * finds first, in time |pattern| × |value| instead of exponential.
 */
function matchEnds(pattern: readonly string[], value: readonly string[], greedy: boolean): Int32Array {
  const pieces = piecesOf(pattern);
  if (pieces.length * value.length > MAX_WORK) throw new PatternError('too long for this value');
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
export function trimPrefix(pattern: string, value: string, greedy: boolean): string {
  const chars = [...value];
  const end = matchEnds([...pattern], chars, greedy)[0]!;
  return end < 0 ? value : chars.slice(end).join('');
}

/** The same at its end: both are turned round, so that the nearest end is found first. */
export function trimSuffix(pattern: string, value: string, greedy: boolean): string {
  const chars = [...value].reverse();
  const end = matchEnds(reversed([...pattern]), chars, greedy)[0]!;
  return end < 0 ? value : chars.slice(end).reverse().join('');
}

/** Backwards, but with each escape still before what it protects. */
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

/** Replaces the first match of `pattern`, or `all` of them, each as long as can be. */
export function replacePattern(pattern: string, value: string, replacement: string, all: boolean): string {
  const chars = [...value];
  const ends = matchEnds([...pattern], chars, true);
  return all ? replaceAll(chars, ends, replacement) : replaceFirst(chars, ends, replacement);
}

function replaceFirst(chars: readonly string[], ends: Int32Array, replacement: string): string {
  const start = ends.findIndex((end) => end >= 0);
  if (start < 0) return chars.join('');
  return chars.slice(0, start).join('') + replacement + chars.slice(ends[start]!).join('');
}

/** An empty match right behind another match does not count, as in Go. */
function replaceAll(chars: readonly string[], ends: Int32Array, replacement: string): string {
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
    if (end > lastEnd || start === 0) out.push(expandTemplate(replacement, chars, start, end));
    copied = end;
    lastEnd = end;
    start = Math.max(end, start + 1);
  }
  for (; copied < chars.length; copied++) out.push(chars[copied]!);
  return out.join('');
}

/**
 * With `//`, Docker's replacement is a template: `$0` stands for the match, `$$` for a dollar, and
 * any other `$name` for nothing. (A dollar gets here only escaped or out of a variable's value.)
 */
function expandTemplate(template: string, chars: readonly string[], start: number, end: number): string {
  if (!template.includes('$')) return template;
  return template.replace(/\$(?:(\$)|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu, (_, dollar, braced, plain) => {
    if (dollar) return '$';
    return (braced ?? plain) === '0' ? chars.slice(start, end).join('') : '';
  });
}
