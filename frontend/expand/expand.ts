import { messageOf } from '../../base/errors.ts';
import { quote } from '../gotext.ts';
import { type GrammarToken, parseExactlyOne } from '../grammar/exactly-one.ts';
import { grammar as substitutionRules } from '../grammar/substitution.gen.ts';
import { type DockerfileCode, problem } from '../problem.ts';
import { type WordLexer, wordLexer } from './lexer.ts';
import { PatternError, replacePattern, trimPrefix, trimSuffix } from './pattern.ts';
import { WordList } from './words.ts';

/**
 * # Word expansion
 *
 * Expands `$x`, `${x}`, `${x:-w}` and related forms, quotes and escapes in an argument. It follows
 * the Dockerfile reference, "Environment replacement", and BuildKit where that is silent. Each word
 * is expanded once, by code that knows the environment.
 */
export interface ExpandOptions {
  /** The file's escape character. The default is `\`. */
  readonly escape?: '\\' | '`';
  /** Keeps the quotes in the result. */
  readonly rawQuotes?: boolean;
  /** Keeps the escape characters in the result. */
  readonly rawEscapes?: boolean;
  /** Treats quotes as ordinary characters, for the bodies of heredocs. */
  readonly plainQuotes?: boolean;
  /** Keeps a variable that is not set as written, instead of making it empty. */
  readonly keepUnset?: boolean;
  /** White space after `<<` does not end a word, so that `<< EOF` is one. */
  readonly heredocWords?: boolean;
  /** What is left for all words of the file. Each word has a whole budget by default. */
  readonly budget?: ExpansionBudget;
}

export interface ExpandedText {
  readonly text: string;
  /** `text` split at white space that is not quoted, without empty pieces. */
  readonly words: readonly string[];
  /** The names that were looked up and found. */
  readonly used: ReadonlySet<string>;
  /** The names that were looked up and not found. */
  readonly unmatched: ReadonlySet<string>;
}

export interface Variables {
  get(name: string): string | undefined;
}

/**
 * How much work the words of one file may still make. A value counts with its characters each time
 * that it is looked up or put in the place of a match. A pattern counts with the product of its
 * length and that of the value. Without this limit, sixty lines such as `ARG B=$A$A` would fill the
 * memory.
 */
export interface ExpansionBudget {
  left: number;
}

/** Ordinary files need less than a thousandth of this. */
const MOST_WORK = 64 << 20;

/** The budget of a new file. */
export function expansionBudget(): ExpansionBudget {
  return { left: MOST_WORK };
}

/** Finds words that have a `$`, quote or escape. Most words have none. */
const SPECIAL = { '\\': /[$'"\\]/, '`': /[$'"`]/ };

/**
 * Expands `word`. Throws KILN_DOCKERFILE_EXPANSION for a malformed word, and
 * KILN_DOCKERFILE_VARIABLE_REQUIRED for `${x:?message}`. Both have no place, which the caller adds.
 * Time is linear in the word and in the values that it names. Throws KILN_DOCKERFILE_TOO_COMPLEX
 * for a single `${…}` of more than 4,000 parts, and when the budget does not suffice.
 */
export function expandWord(
  word: string,
  environment: Variables,
  options: ExpandOptions = {},
): ExpandedText {
  const escapeChar = options.escape ?? '\\';
  if (!SPECIAL[escapeChar].test(word)) {
    return {
      text: word,
      // Most callers want the text alone.
      get words() {
        const words = new WordList(options.heredocWords ?? false);
        words.add(word);
        return words.finish();
      },
      used: NOTHING,
      unmatched: NOTHING,
    };
  }
  try {
    return new Expander(word, environment, { ...options, escape: escapeChar }).run();
  } catch (error) {
    if (error instanceof Fault)
      throw problem(
        error.code,
        `failed to process ${quote(shortened(word))}: ${error.message}`,
        undefined,
        error.hint ?? hintFor(error),
      );
    throw error;
  }
}

/** A word may be as long as the file. Its beginning shows which one is meant. */
const SHOWN = 200;

function shortened(word: string): string {
  return word.length > SHOWN ? `${word.slice(0, SHOWN)}…` : word;
}

function hintFor({ message }: Fault): string {
  if (message.includes('looking for matching'))
    return 'close the quote, or put the escape character before it';
  if (message.includes('(\ufffd)')) return 'close the { with a }';
  if (message.includes('modifier'))
    return 'after the name, write one of :- :+ :? - + ? # ## % %% / and //';
  return 'write ${NAME}, or the escape character before a dollar that is not a variable';
}

const NOT_ASCII = /[^\0-\x7f]/;

const NOTHING: ReadonlySet<string> = new Set();

class Fault extends Error {
  readonly code: DockerfileCode;
  readonly hint: string | undefined;
  constructor(message: string, code: DockerfileCode = 'KILN_DOCKERFILE_EXPANSION', hint?: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

type Part =
  | { readonly kind: 'text' | 'single' | 'quotedEscape'; readonly text: string }
  | { readonly kind: 'escape'; readonly char: string }
  | { readonly kind: 'double'; readonly parts: readonly Part[] }
  | Substitution;

type Substitution =
  | { readonly kind: 'variable'; readonly name: string; readonly braces: boolean }
  | {
      readonly kind: 'operator';
      readonly name: string;
      readonly op: string;
      readonly word: readonly Part[];
    }
  | {
      readonly kind: 'replace';
      readonly name: string;
      readonly all: boolean;
      readonly pattern: readonly Part[];
      readonly replacement: readonly Part[];
    };

class Expander {
  readonly #word: string;
  readonly #environment: Variables;
  readonly #options: ExpandOptions & { readonly escape: '\\' | '`' };
  readonly #lexer: WordLexer;
  readonly #used = new Set<string>();
  readonly #unmatched = new Set<string>();
  readonly #budget: ExpansionBudget;

  constructor(
    word: string,
    environment: Variables,
    options: ExpandOptions & { readonly escape: '\\' | '`' },
  ) {
    this.#word = word;
    this.#environment = environment;
    this.#options = options;
    this.#budget = options.budget ?? expansionBudget();
    this.#lexer = wordLexer({
      escape: options.escape,
      quotes: !options.plainQuotes,
      unicode: NOT_ASCII.test(word),
    });
  }

  /**
   * Walks the top level of the word token by token. Only the inside of `${…}` needs the grammar.
   */
  run(): ExpandedText {
    const { rawQuotes = false, rawEscapes = false, heredocWords = false } = this.#options;
    const text: string[] = [];
    const words = new WordList(heredocWords);
    this.#lexer.reset(this.#word);
    for (let token = this.#next(); token; token = this.#next()) {
      const out =
        token.type === 'quote'
          ? this.#doubleQuoted(rawQuotes, rawEscapes)
          : this.#piece(token, rawQuotes, rawEscapes);
      text.push(out);
      if (token.type === 'single' || token.type === 'quote' || token.type === 'escape')
        words.addRaw(out);
      else words.add(out);
    }
    return {
      text: text.join(''),
      words: words.finish(),
      used: this.#used,
      unmatched: this.#unmatched,
    };
  }

  #next(): GrammarToken | undefined {
    const token = this.#lexer.next();
    return token ? { type: token.type ?? '', value: token.value, text: token.text } : undefined;
  }

  /** Expands one token outside double quotes and substitutions. */
  #piece(token: GrammarToken, rawQuotes: boolean, rawEscapes: boolean): string {
    switch (token.type) {
      case 'single':
        return rawQuotes ? token.text : token.text.slice(1, -1);
      case 'escape':
        return rawEscapes ? token.text : token.text.slice(1);
      case 'variable':
        return this.#variable(token.value, token.text[1] === '{');
      case 'open':
        return this.#evaluate(this.#substitution(token));
      case 'badSingle':
        throw new Fault('unexpected end of statement while looking for matching single-quote');
      default:
        return token.text;
    }
  }

  #doubleQuoted(rawQuotes: boolean, rawEscapes: boolean): string {
    const out: string[] = rawQuotes ? ['"'] : [];
    for (let token = this.#next(); token; token = this.#next()) {
      if (token.type === 'unquote') {
        if (rawQuotes) out.push('"');
        return out.join('');
      }
      out.push(
        token.type === 'quotedEscape'
          ? this.#quotedEscape(token.text, rawEscapes)
          : this.#piece(token, rawQuotes, rawEscapes),
      );
    }
    throw new Fault('unexpected end of statement while looking for matching double-quote');
  }

  /**
   * Inside double quotes only the quote, `$` and the escape itself can be escaped. With
   * `rawEscapes`, any other escape is doubled.
   */
  #quotedEscape(text: string, rawEscapes: boolean): string {
    if (text.length > 1) return rawEscapes ? text : text.slice(1);
    return rawEscapes ? text + text : text;
  }

  /** Collects the tokens up to the `}` that belongs to `open`, and parses them. */
  #substitution(open: GrammarToken): Substitution {
    const tokens = [open];
    for (let depth = 1; depth > 0; ) {
      const token = this.#next();
      if (!token) throw new Fault(this.#unfinished(tokens));
      tokens.push(token);
      if (token.type === 'open') depth++;
      else if (token.type === 'close') depth--;
      else if (token.type.startsWith('bad')) throw new Fault(this.#misplaced(token, tokens));
    }
    const parsed = parseExactlyOne<Substitution>(substitutionRules, tokens);
    if (!parsed) throw new Fault('syntax error: bad substitution');
    return parsed;
  }

  #misplaced(token: GrammarToken, tokens: readonly GrammarToken[]): string {
    if (token.type === 'badSubstitution') return 'syntax error: bad substitution';
    if (token.type === 'badSingle' || token.type === 'badColon') return this.#unfinished(tokens);
    const atEnd = this.#lexer.next() === undefined;
    if (atEnd && tokens.filter(({ type }) => type === 'open').length > 1)
      return this.#unfinished(tokens);
    return `unsupported modifier (${token.text}) in substitution`;
  }

  /** Says what was missing in the outermost `${` when the word ended inside it. */
  #unfinished(tokens: readonly GrammarToken[]): string {
    const last = tokens.at(-1);
    if (tokens.length === 2 && last?.type === 'name')
      return 'unsupported modifier (\ufffd) in substitution';
    let depth = 0;
    let inPattern = false;
    for (const { type } of tokens) {
      if (type === 'open') depth++;
      else if (type === 'close') depth--;
      else if (depth === 1 && type === 'slash') inPattern = true;
      else if (depth === 1 && type === 'separator') inPattern = false;
    }
    return inPattern ? "syntax error: missing '/' in ${}" : "syntax error: missing '}'";
  }

  #variable(name: string, braces: boolean): string {
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.keepUnset) return braces ? `\${${name}}` : `$${name}`;
    return value ?? '';
  }

  #lookUp(name: string): string | undefined {
    const value = this.#environment.get(name);
    (value === undefined ? this.#unmatched : this.#used).add(name);
    this.#spend(value?.length ?? 0);
    return value;
  }

  readonly #spend = (work: number): void => {
    this.#budget.left -= work;
    if (this.#budget.left >= 0) return;
    throw new Fault(
      'the variables of this file make too much text, or their patterns too much work',
      'KILN_DOCKERFILE_TOO_COMPLEX',
      'use values that do not grow with each instruction, and put long texts into files',
    );
  };

  #join(parts: readonly Part[], rawEscapes: boolean): string {
    return parts.map((part) => this.#part(part, rawEscapes)).join('');
  }

  #part(part: Part, rawEscapes: boolean): string {
    const { rawQuotes, escape: escapeChar } = this.#options;
    switch (part.kind) {
      case 'text':
        return part.text;
      case 'single':
        return rawQuotes ? `'${part.text}'` : part.text;
      case 'quotedEscape':
        return this.#quotedEscape(part.text, rawEscapes);
      case 'escape':
        return rawEscapes ? escapeChar + part.char : part.char;
      case 'double':
        return rawQuotes
          ? `"${this.#join(part.parts, rawEscapes)}"`
          : this.#join(part.parts, rawEscapes);
      default:
        return this.#evaluate(part);
    }
  }

  #evaluate(sub: Substitution): string {
    if (sub.kind === 'variable') return this.#variable(sub.name, sub.braces);
    if (sub.kind === 'replace') return this.#replace(sub);
    return this.#operate(sub);
  }

  #replace({
    name,
    all,
    pattern,
    replacement,
  }: Substitution & { readonly kind: 'replace' }): string {
    const from = this.#join(pattern, true);
    const to = this.#join(replacement, true);
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.keepUnset) return `\${${name}/${from}/${to}}`;
    return withPattern(from, () => replacePattern(from, value ?? '', to, all, this.#spend));
  }

  /**
   * The operand is always expanded, even when it is not used, so that a mistake in it is always
   * found.
   */
  #operate({ name, op, word: parts }: Substitution & { readonly kind: 'operator' }): string {
    const symbol = op.at(-1);
    const word = this.#join(parts, symbol === '#' || symbol === '%');
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.keepUnset) return `\${${name}${op}${word}}`;
    const unset = value === undefined || (op[0] === ':' && value === '');
    switch (op.length > 1 && (symbol === '#' || symbol === '%') ? undefined : symbol) {
      case '-':
        return unset ? word : value;
      case '+':
        return unset ? '' : word;
      case '?':
        if (!unset) return value;
        throw required(name, word, value === undefined);
      case '#':
      case '%':
        return trim(symbol as '#' | '%', word, value ?? '', this.#spend);
      default:
        throw new Fault(`unsupported modifier (${op}) in substitution`);
    }
  }
}

/** A second `#` or `%` at the beginning of the operand asks for the longest match. */
function trim(
  symbol: '#' | '%',
  operand: string,
  value: string,
  spend: (work: number) => void,
): string {
  const greedy = operand.startsWith(symbol);
  const pattern = greedy ? operand.slice(1) : operand;
  return withPattern(pattern, () =>
    (symbol === '#' ? trimPrefix : trimSuffix)(pattern, value, greedy, spend),
  );
}

function withPattern(pattern: string, run: () => string): string {
  try {
    return run();
  } catch (error) {
    if (error instanceof PatternError)
      throw new Fault(`invalid pattern (${pattern}) in substitution: ${messageOf(error)}`);
    throw error;
  }
}

function required(name: string, message: string, missing: boolean): Fault {
  const text = message || (missing ? 'is not allowed to be unset' : 'is not allowed to be empty');
  return new Fault(
    `${name}: ${text}`,
    'KILN_DOCKERFILE_VARIABLE_REQUIRED',
    `give ${name} a value with --build-arg ${name}=… or ENV`,
  );
}
