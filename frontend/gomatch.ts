import { KilnError } from '../base/errors.ts';

/**
 * # Wildcards and paths as Go has them
 *
 * `compileMatch` has the semantics of path/filepath.Match on Unix, by which COPY and ADD choose their sources: `*` and `?` never match `/`,
 * `[a-z]` and `[^a-z]` are character classes, `\` escapes. `cleanPath` is path.Clean.
 */
type Item =
  | { readonly kind: 'char'; readonly char: string }
  | { readonly kind: 'one' }
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: readonly (readonly [string, string])[] };

/** A run of items, with or without a star before it. */
interface Chunk {
  readonly star: boolean;
  readonly items: readonly Item[];
}

/** A test for whole names. Throws KILN_BAD_PATTERN for a malformed pattern. Time of a test: |pattern| × |name| at worst. */
export function compileMatch(pattern: string): (name: string) => boolean {
  const chunks = chunksOf(pattern);
  return (name) => matchChunks(chunks, [...name]);
}

export function hasWildcard(path: string): boolean {
  return /[*?[\\]/.test(path);
}

function badPattern(pattern: string): KilnError {
  const hint = 'close every [ with ], give it at least one character, and write \\[ for the character itself';
  return new KilnError('KILN_BAD_PATTERN', `syntax error in pattern ${JSON.stringify(pattern)}`, { hint });
}

function chunksOf(pattern: string): Chunk[] {
  const chars = [...pattern];
  const chunks: { star: boolean; items: Item[] }[] = [{ star: false, items: [] }];
  for (let i = 0; i < chars.length; ) {
    const items = chunks.at(-1)!.items;
    const char = chars[i]!;
    if (char === '*') {
      if (chunks.at(-1)!.star && items.length === 0) i++;
      else chunks.push({ star: true, items: [] });
      continue;
    }
    if (char === '?') {
      items.push({ kind: 'one' });
      i++;
    } else if (char === '[') {
      const [item, next] = classAt(pattern, chars, i);
      items.push(item);
      i = next;
    } else {
      const literal = char === '\\' ? chars[++i] : char;
      if (literal === undefined) throw badPattern(pattern);
      items.push({ kind: 'char', char: literal });
      i++;
    }
  }
  return chunks;
}

function classAt(pattern: string, chars: readonly string[], start: number): [Item, number] {
  let i = start + 1;
  const negated = chars[i] === '^';
  if (negated) i++;
  const ranges: [string, string][] = [];
  const member = (): string => {
    const char = chars[i];
    if (char === undefined || char === '-' || char === ']') throw badPattern(pattern);
    if (char === '\\') i++;
    const literal = chars[i++];
    // A class must not end with the pattern: there is a `]` to come.
    if (literal === undefined || i >= chars.length) throw badPattern(pattern);
    return literal;
  };
  while (chars[i] !== ']' || ranges.length === 0) {
    const low = member();
    let high = low;
    if (chars[i] === '-') {
      i++;
      high = member();
    }
    ranges.push([low, high]);
  }
  return [{ kind: 'class', negated, ranges }, i + 1];
}

/** Each chunk goes to the first place where it fits; since a star takes anything but `/`, no other place could serve better. */
function matchChunks(chunks: readonly Chunk[], name: readonly string[]): boolean {
  let at = 0;
  for (const [c, { star, items }] of chunks.entries()) {
    const last = c === chunks.length - 1;
    if (star && last && items.length === 0) return !name.includes('/', at);
    const start = star ? findChunk(items, name, at, last) : fits(items, name, at) ? at : -1;
    if (start < 0) return false;
    at = start + items.length;
  }
  return at === name.length;
}

function findChunk(items: readonly Item[], name: readonly string[], from: number, last: boolean): number {
  for (let at = from; at <= name.length; at++) {
    if (fits(items, name, at) && (!last || at + items.length === name.length)) return at;
    if (name[at] === '/') return -1;
  }
  return -1;
}

function fits(items: readonly Item[], name: readonly string[], at: number): boolean {
  if (at + items.length > name.length) return false;
  return items.every((item, i) => itemFits(item, name[at + i]!));
}

function itemFits(item: Item, char: string): boolean {
  if (item.kind === 'char') return item.char === char;
  if (item.kind === 'one') return char !== '/';
  const code = char.codePointAt(0)!;
  return item.negated !== item.ranges.some(([low, high]) => low.codePointAt(0)! <= code && code <= high.codePointAt(0)!);
}

/** The shortest path that means the same by its text alone: no `.`, no `//`, no `..` but at the front of a relative path; `.` for nothing. */
export function cleanPath(path: string): string {
  const rooted = path.startsWith('/');
  const out: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') out.push(part);
    else if (out.length > 0 && out.at(-1) !== '..') out.pop();
    else if (!rooted) out.push('..');
  }
  if (rooted) return `/${out.join('/')}`;
  return out.length === 0 ? '.' : out.join('/');
}
