import { KilnError } from './errors.ts';

/**
 * # Wildcards with Go's semantics
 *
 * COPY and ADD choose their sources with the semantics of path/filepath.Match on Unix: `*` and `?`
 * never match `/`, `[a-z]` and `[^a-z]` are character classes, and `\` escapes. A character is a
 * code point.
 */
type Item =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'one' }
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: readonly Range[] };

/** The first and the last code point. */
type Range = readonly [number, number];

/** A run of items, with or without a star in front of it. */
interface Chunk {
  readonly star: boolean;
  readonly items: readonly Item[];
}

/**
 * Compiles a pattern to a test of whole names. Throws KILN_BAD_PATTERN for a malformed pattern. The
 * whole pattern is checked here, whereas Go finds a fault only when matching gets that far. A test
 * takes |pattern| × |name| steps in the worst case; about 0.05 µs for `*.txt` (2 cores, November
 * 2026).
 */
export function compileMatch(pattern: string): (name: string) => boolean {
  const chunks = chunksOf(pattern);
  const only =
    chunks.length === 1 && chunks[0]!.items.length === 1 ? chunks[0]!.items[0]! : undefined;
  if (only?.kind === 'text') return (name) => name === only.text;
  return (name) => matchChunks(chunks, name);
}

/** True when the text contains a wildcard that is not escaped. */
export function hasWildcard(text: string): boolean {
  return /^(?:[^\\*?[]|\\.)*[*?[]/su.test(text);
}

export function badPattern(pattern: string): KilnError {
  const hint =
    'close every [ with ], give it at least one character, and write \\[ for the character itself';
  return new KilnError('KILN_BAD_PATTERN', `syntax error in pattern ${JSON.stringify(pattern)}`, {
    hint,
  });
}

function chunksOf(pattern: string): readonly Chunk[] {
  const chars = [...pattern];
  let items: Item[] = [];
  const chunks: Chunk[] = [{ star: false, items }];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i]!;
    if (char === '*') {
      if (chunks.at(-1)!.star && items.length === 0) continue;
      items = [];
      chunks.push({ star: true, items });
    } else if (char === '?') items.push({ kind: 'one' });
    else if (char === '[') {
      const [item, last] = classAt(pattern, chars, i);
      items.push(item);
      i = last;
    } else {
      const literal = char === '\\' ? chars[++i] : char;
      if (literal === undefined) throw badPattern(pattern);
      addChar(items, literal);
    }
  }
  return chunks;
}

/**
 * Joins characters in a row, so that they are compared at once. A lone surrogate stays an item of
 * its own: joined to text it would also match half of a surrogate pair.
 */
function addChar(items: Item[], char: string): void {
  const before = items.at(-1);
  if (!char.isWellFormed()) {
    const code = char.codePointAt(0)!;
    items.push({ kind: 'class', negated: false, ranges: [[code, code]] });
  } else if (before?.kind === 'text')
    items[items.length - 1] = { kind: 'text', text: before.text + char };
  else items.push({ kind: 'text', text: char });
}

/** The class that begins at `start`, and the index of its `]`. */
function classAt(
  pattern: string,
  chars: readonly string[],
  start: number,
): readonly [Item, number] {
  let i = start + 1;
  const negated = chars[i] === '^';
  if (negated) i++;
  const ranges: Range[] = [];
  const member = (): number => {
    const char = chars[i];
    if (char === undefined || char === '-' || char === ']') throw badPattern(pattern);
    if (char === '\\') i++;
    const literal = chars[i++];
    // The pattern cannot end inside a class: a `]` has to follow.
    if (literal === undefined || i >= chars.length) throw badPattern(pattern);
    return literal.codePointAt(0)!;
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
  return [{ kind: 'class', negated, ranges }, i];
}

/**
 * Each chunk takes the first position where it fits. A star matches anything but `/`, so a later
 * position would never help.
 */
function matchChunks(chunks: readonly Chunk[], name: string): boolean {
  let at = 0;
  for (let c = 0; c < chunks.length; c++) {
    const { star, items } = chunks[c]!;
    const last = c === chunks.length - 1;
    if (star && last && items.length === 0) return !name.includes('/', at);
    at = star ? findChunk(items, name, at, last) : fits(items, name, at);
    if (at < 0) return false;
  }
  return at === name.length;
}

/**
 * The end of the chunk when a star before it begins at `from`, or -1. The last chunk has to reach
 * the end of the name.
 */
function findChunk(items: readonly Item[], name: string, from: number, last: boolean): number {
  const first = items[0];
  const text = first?.kind === 'text' ? first.text : '';
  if (text !== '' && items.length === 1 && last) {
    const at = name.length - text.length;
    return at >= from && name.endsWith(text) && at <= endOfStar(name, from) ? name.length : -1;
  }
  let limit = -1;
  for (
    let at = name.indexOf(text, from);
    at >= 0;
    at = name.indexOf(text, at + widthAt(name, at))
  ) {
    if (limit < 0) limit = endOfStar(name, from);
    if (at > limit) return -1;
    const end = fits(items, name, at);
    if (end >= 0 && (!last || end === name.length)) return end;
    if (at === name.length) return -1;
  }
  return -1;
}

/** How far a star that begins at `from` can reach. */
function endOfStar(name: string, from: number): number {
  const slash = name.indexOf('/', from);
  return slash < 0 ? name.length : slash;
}

/** The end of the items when they fit at `at`, or -1. */
function fits(items: readonly Item[], name: string, at: number): number {
  let end = at;
  for (const item of items) {
    if (item.kind === 'text') {
      if (!name.startsWith(item.text, end)) return -1;
      end += item.text.length;
    } else {
      const code = name.codePointAt(end);
      if (code === undefined || !takes(item, code)) return -1;
      end += code > 0xffff ? 2 : 1;
    }
  }
  return end;
}

function takes(item: Exclude<Item, { kind: 'text' }>, code: number): boolean {
  if (item.kind === 'one') return code !== SLASH;
  return item.negated !== item.ranges.some(([low, high]) => low <= code && code <= high);
}

const SLASH = 0x2f;

function widthAt(name: string, at: number): number {
  return name.codePointAt(at)! > 0xffff ? 2 : 1;
}
