import moo from 'moo';

/**
 * The tokens of a word with `$`, quotes and escapes. The types are:
 *
 * - `text`
 * - `escape`: the escape and the character that it protects, or the escape alone at the end
 * - `single`: a whole piece in single quotes
 * - `quote` … `unquote` around a piece in double quotes, with `quotedEscape` inside
 * - `variable`: `$name` or `${name}`; its value is the name
 * - `dollar`: a dollar that names nothing
 * - `open` `name`? then `operator` or `slash` … `separator` …, and `close`, for any other `${`
 * - `bad…`: a character that is not allowed at its position
 */
export type WordLexer = moo.Lexer;

export interface WordSyntax {
  readonly escape: '\\' | '`';
  /** False when quotes are ordinary characters, as in the bodies of heredocs. */
  readonly quotes: boolean;
  /** False when the word is all ASCII. The tables of Unicode letters take about 5 ms to build. */
  readonly unicode: boolean;
}

const lexers = new Map<string, moo.Lexer>();

/**
 * One lexer per syntax, built when it is first needed (half a millisecond). It has state: finish
 * one word before the next.
 */
export function wordLexer(syntax: WordSyntax): moo.Lexer {
  const key = `${syntax.escape}${syntax.quotes}${syntax.unicode}`;
  let lexer = lexers.get(key);
  if (!lexer) {
    lexer = moo.states(wordStates(syntax), 'word');
    lexers.set(key, lexer);
  }
  return lexer;
}

/** Digits, one special parameter, or a name. */
const ASCII_NAME = '(?:[0-9]+|[@*#?\\-$!]|[A-Za-z_][A-Za-z0-9_]*)';
const UNICODE_NAME = '(?:\\p{Nd}+|[@*#?\\-$!]|[\\p{L}_][\\p{L}\\p{Nd}_]*)';

function wordStates({
  escape: escapeChar,
  quotes,
  unicode,
}: WordSyntax): Parameters<typeof moo.states>[0] {
  const esc = escapeChar === '\\' ? '\\\\' : escapeChar;
  const name = unicode ? UNICODE_NAME : ASCII_NAME;
  const nameOf = (text: string): string => (text[1] === '{' ? text.slice(2, -1) : text.slice(1));
  const dollars = {
    variable: { match: new RegExp(`\\$(?:${name}|\\{${name}\\})`, 'u'), value: nameOf },
    open: { match: /\$\{/u, push: 'head' },
    dollar: /\$/u,
  };
  /** Text up to `stop`, with quotes when they count. */
  const pieces = (stop: string): moo.Rules => ({
    ...dollars,
    escape: new RegExp(`${esc}[^]|${esc}$`, 'u'),
    ...(quotes
      ? {
          single: { match: /'[^']*'/u, lineBreaks: true },
          badSingle: { match: /'[^']*$/u, lineBreaks: true },
          quote: { match: /"/u, push: 'double' },
        }
      : {}),
    text: { match: new RegExp(`[^$${esc}${quotes ? `'"` : ''}${stop}]+`, 'u'), lineBreaks: true },
  });
  const operator = { match: /:[\s\S]|[+\-?#%]/u, next: 'operand', lineBreaks: true };
  return {
    word: pieces(''),
    double: {
      ...dollars,
      quotedEscape: { match: new RegExp(`${esc}["$${esc}]|${esc}`, 'u') },
      unquote: { match: /"/u, pop: 1 },
      text: { match: new RegExp(`[^$"${esc}]+`, 'u'), lineBreaks: true },
    },
    head: {
      badSubstitution: /[{}:]/u,
      name: { match: new RegExp(name, 'u'), next: 'modifier' },
      operator,
      slash: { match: /\/\/?/u, next: 'pattern' },
      badModifier: { match: /[\s\S]/u, lineBreaks: true },
    },
    modifier: {
      close: { match: /\}/u, pop: 1 },
      badColon: /:$/u,
      operator,
      slash: { match: /\/\/?/u, next: 'pattern' },
      badModifier: { match: /[\s\S]/u, lineBreaks: true },
    },
    operand: { close: { match: /\}/u, pop: 1 }, ...pieces('}') },
    pattern: { separator: { match: /\//u, next: 'operand' }, ...pieces('/') },
  };
}
