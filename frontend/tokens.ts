import moo from 'moo';
import { ARGUMENT_SPACE, SPACE_CLASS, trimLeft, trimRight, trimSpace } from './gotext.ts';
import { type GrammarToken, parseExactlyOne } from './grammar/exactly-one.ts';
import { grammar as flagRules } from './grammar/flag.gen.ts';
import { grammar as keyValueRules } from './grammar/keyvalue.gen.ts';
import { grammar as mountRules } from './grammar/mount.gen.ts';
import { problem } from './problem.ts';

/**
 * # Tokens of a logical line
 *
 * `KEYWORD --flag=value … body`: the flags are split, and the body is one token, whatever its
 * length. Each instruction then reads its body in its own way. Lexers are built when they are first
 * needed. They have state: one line is read to its end before the next.
 */
export interface Statement {
  readonly keyword: string;
  readonly flags: readonly FlagToken[];
  /** Without white space at either end. */
  readonly body: string;
  /** Where `body` begins in the line. */
  readonly bodyAt: number;
}

export interface FlagToken {
  readonly name: string;
  /** Undefined for `--name` alone. */
  readonly value: string | undefined;
  readonly start: number;
  readonly end: number;
}

type Escape = '\\' | '`';
const lexers = new Map<string, moo.Lexer>();

function lexer(name: string, escapeChar: Escape, build: (esc: string) => moo.Lexer): moo.Lexer {
  const key = name + escapeChar;
  let found = lexers.get(key);
  if (!found) {
    found = build(escapeChar === '\\' ? '\\\\' : escapeChar);
    lexers.set(key, found);
  }
  return found;
}

const space = { match: new RegExp(`[${SPACE_CLASS}]+`), lineBreaks: true };

function statementLexer(esc: string): moo.Lexer {
  const escaped = { match: new RegExp(`${esc}[^]|${esc}$`), lineBreaks: true };
  const text = (stop: string) => ({ match: new RegExp(`[^${esc}${stop}]+`), lineBreaks: true });
  return moo.states(
    {
      keyword: { keyword: { match: /[^\t\v\f\r ]+/, next: 'flags', lineBreaks: true } },
      flags: {
        space,
        terminator: { match: new RegExp(`--(?=[${SPACE_CLASS}]|$)`), next: 'body' },
        dashes: { match: '--', next: 'flag' },
        body: { match: /[\s\S]+/, lineBreaks: true },
      },
      body: { body: { match: /[\s\S]+/, lineBreaks: true } },
      flag: {
        space: { ...space, next: 'flags' },
        escape: escaped,
        quote: [
          { match: "'", next: 'single' },
          { match: '"', next: 'double' },
        ],
        text: text(`${SPACE_CLASS}'"`),
      },
      single: { unquote: { match: "'", next: 'flag' }, escape: escaped, text: text("'") },
      double: { unquote: { match: '"', next: 'flag' }, escape: escaped, text: text('"') },
    },
    'keyword',
  );
}

/** Splits a line into keyword, flags and body; offsets count from the beginning of `line`. */
export function splitStatement(line: string, escapeChar: Escape): Statement {
  const text = trimRight(trimLeft(line));
  const indent = line.length - trimLeft(line).length;
  const tokens = lexer('statement', escapeChar, statementLexer);
  tokens.reset(text);
  let keyword = '';
  let body = '';
  let bodyAt = text.length;
  const flags: FlagToken[] = [];
  let flag: (GrammarToken & { readonly offset: number })[] = [];
  const endFlag = (end: number) => {
    if (flag.length > 0) flags.push(readFlag(flag, indent, end));
    flag = [];
  };
  for (const { type, text: piece, value, offset } of tokens) {
    if (type === 'keyword') keyword = piece;
    else if (type === 'space') endFlag(offset);
    else if (type === 'body') [body, bodyAt] = [piece, offset];
    else if (type !== 'terminator') flag.push({ type: type!, text: piece, value, offset });
  }
  endFlag(text.length);
  bodyAt += body.length - body.replace(LEADING_SPACE, '').length;
  return { keyword, flags, body: trimSpace(body), bodyAt: bodyAt + indent };
}

const LEADING_SPACE = new RegExp(`^[${SPACE_CLASS}]+`);

function readFlag(
  tokens: readonly (GrammarToken & { readonly offset: number })[],
  indent: number,
  endAt: number,
): FlagToken {
  const [, second] = tokens;
  const plain = tokens.length === 2 && second!.type === 'text' ? `--${second!.text}` : undefined;
  const word = plain ?? `--${parseExactlyOne<string>(flagRules, tokens) ?? ''}`;
  const at = word.indexOf('=');
  const start = tokens[0]!.offset + indent;
  const end = endAt + indent;
  if (at < 0) return { name: word.slice(2), value: undefined, start, end };
  return { name: word.slice(2, at), value: word.slice(at + 1), start, end };
}

function wordsLexer(esc: string): moo.Lexer {
  const escaped = { match: new RegExp(`${esc}[^]`), lineBreaks: true };
  const last = new RegExp(`${esc}$`);
  const text = (stop: string) => ({ match: new RegExp(`[^${stop}]+`), lineBreaks: true });
  return moo.states(
    {
      word: {
        space,
        escape: escaped,
        last,
        quote: [
          { match: "'", next: 'single' },
          { match: '"', next: 'double' },
        ],
        text: text(`${SPACE_CLASS}'"${esc}`),
      },
      single: { unquote: { match: "'", next: 'word' }, text: text("'") },
      double: {
        unquote: { match: '"', next: 'word' },
        escape: escaped,
        last,
        text: text(`"${esc}`),
      },
    },
    'word',
  );
}

/**
 * The words of ENV, LABEL and ARG: split at white space outside quotes, with quotes and escapes
 * still in them.
 */
export function splitWords(body: string, escapeChar: Escape): string[] {
  const tokens = lexer('words', escapeChar, wordsLexer);
  tokens.reset(body);
  const words: string[] = [];
  let word: string[] = [];
  const end = () => {
    if (word.length > 0) words.push(word.join(''));
    word = [];
  };
  for (const { type, text } of tokens) {
    if (type === 'space') end();
    else if (type !== 'last') word.push(text);
  }
  end();
  return words;
}

export interface Assignment {
  readonly key: string;
  /** Undefined for a word without `=`. */
  readonly value: string | undefined;
}

/**
 * The entries in one parse. The parser keeps what it has read, so a long list is parsed in slices.
 */
const SLICE = 100;

/**
 * Parses `key=value` words, or bare `key`. The first `=` counts even inside quotes, as in Docker.
 */
export function parseKeyValues(words: readonly string[]): Assignment[] {
  const entries: Assignment[] = [];
  for (let at = 0; at < words.length; at += SLICE) {
    const tokens = words
      .slice(at, at + SLICE)
      .flatMap((word, i) => (i === 0 ? entryTokens(word) : [SPACE_TOKEN, ...entryTokens(word)]));
    entries.push(...parseExactlyOne<Assignment[]>(keyValueRules, tokens)!);
  }
  return entries;
}

const SPACE_TOKEN: GrammarToken = { type: 'space', value: ' ', text: ' ' };
const EQUALS_TOKEN: GrammarToken = { type: 'equals', value: '=', text: '=' };

function entryTokens(word: string): GrammarToken[] {
  const at = word.indexOf('=');
  const token = (type: string, value: string): GrammarToken => ({ type, value, text: value });
  if (at < 0) return [token('key', word)];
  return [token('key', word.slice(0, at)), EQUALS_TOKEN, token('value', word.slice(at + 1))];
}

/**
 * The rest of the line after its first word, for the legacy `ENV key value`. Undefined when there
 * is none.
 */
export function splitLegacy(body: string): readonly [string, string] | undefined {
  const space = ARGUMENT_SPACE.exec(body);
  return space
    ? [body.slice(0, space.index), body.slice(space.index + space[0].length)]
    : undefined;
}

function mountLexer(): moo.Lexer {
  return moo.states(
    {
      start: {
        quote: { match: '"', next: 'quoted' },
        comma: ',',
        bare: { match: /[^",]+(?=,|$)/, next: 'end', lineBreaks: true },
        bareQuote: { match: /[^",]*"/, lineBreaks: true },
      },
      end: {
        comma: { match: ',', next: 'start' },
        strayQuote: { match: /[\s\S]/, lineBreaks: true },
      },
      quoted: {
        doubled: '""',
        unquote: { match: '"', next: 'end' },
        text: { match: /[^"]+/, lineBreaks: true },
      },
    },
    'start',
  );
}

/** A field of a mount: `key=value`, or a key alone. */
export function mountField(field: string): { key: string; value: string | undefined } {
  const at = field.indexOf('=');
  const key = (at < 0 ? field : field.slice(0, at)).toLowerCase();
  return { key, value: at < 0 ? undefined : field.slice(at + 1) };
}

/**
 * The comma-separated fields of `--mount`, quoted as in Go's encoding/csv: a field that begins with
 * `"` ends with one, and `""` inside stands for one. A quote anywhere else is an error. Throws
 * KILN_DOCKERFILE_FLAG without a place.
 */
export function splitMount(value: string): string[] {
  const text = value.replace(/\r$/, '');
  if (text === '') throw badMount('EOF');
  const lex = lexer('mount', '\\', mountLexer);
  lex.reset(text);
  const tokens: GrammarToken[] = [];
  for (const { type, text: piece, value: val, offset } of lex) {
    const column = offset + piece.length;
    if (type === 'bareQuote')
      throw badMount(`parse error on line 1, column ${column}: bare " in non-quoted-field`);
    if (type === 'strayQuote')
      throw badMount(
        `parse error on line 1, column ${column}: extraneous or missing " in quoted-field`,
      );
    tokens.push({ type: type!, text: piece, value: val });
  }
  const fields = parseExactlyOne<string[]>(mountRules, tokens);
  if (!fields)
    throw badMount(
      `parse error on line 1, column ${text.length + 1}: extraneous or missing " in quoted-field`,
    );
  return fields;
}

function badMount(why: string): Error {
  return problem(
    'KILN_DOCKERFILE_FLAG',
    `failed to parse csv mounts: ${why}`,
    undefined,
    'write --mount=type=…,target=… with commas and no spaces',
  );
}
