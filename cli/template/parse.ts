import moo from 'moo';
import { KilnError } from '../../base/errors.ts';

/*
 * This parser supports the part of Go's text/template that `--format` needs: text, pipelines,
 * fields, variables, range, if, with, comments and trim markers. It does not support definitions
 * and methods. The functions are in evaluate.ts.
 */

/** One part of a template: text, or an action in double braces. */
export type TemplateNode =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'assign'; readonly name: string; readonly value: Expression }
  | ({
      readonly kind: 'range' | 'if' | 'with';
      readonly names: readonly string[];
      readonly value: Expression;
    } & Branches);

interface Branches {
  readonly body: readonly TemplateNode[];
  readonly otherwise: readonly TemplateNode[];
}

/** An expression in an action. */
export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  /**
   * Fields of a value: `.A.B` of the current value, `$x.A` of a variable, `(…).A` of an expression.
   * The variable named '' is `$`, the data of the whole template.
   */
  | {
      readonly kind: 'path';
      readonly from: 'dot' | { readonly variable: string } | Expression;
      readonly fields: readonly string[];
    }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] };

const ACTION = moo.compile({
  space: { match: /[ \t\r\n]+/, lineBreaks: true },
  comment: { match: /\/\*[\s\S]*?\*\//, lineBreaks: true },
  string: /"(?:[^"\\\n]|\\.)*"/,
  raw: { match: /`[^`]*`/, lineBreaks: true },
  number: /-?\d+(?:\.\d+)?\b/,
  variable: /\$\w*/,
  field: /\.[A-Za-z_]\w*/,
  dot: '.',
  word: /[A-Za-z_]\w*/,
  assign: ':=',
  pipe: '|',
  comma: ',',
  open: '(',
  close: ')',
});

interface Token {
  readonly type: string;
  readonly text: string;
  /** Whether no space or comment separates it from the token before. */
  readonly joined: boolean;
}

/** Parses a template. Throws KILN_TEMPLATE_INVALID, which quotes the invalid part. */
export function parseTemplate(text: string): readonly TemplateNode[] {
  const parser = new Parser(pieces(text));
  return parser.nodes();
}

type Piece = { readonly text: string } | { readonly action: string; readonly tokens: Token[] };

/** Splits a template into text and actions. Removes the space that `{{-` and `-}}` trim. */
function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  const action =
    /\{\{(-(?=\s))?((?:"(?:[^"\\]|\\.)*"|`[^`]*`|\/\*[\s\S]*?\*\/|[^"`])*?)((?<=\s)-)?\}\}/g;
  let at = 0;
  let trim = false;
  const addText = (end: number, trimEnd: boolean) => {
    let piece = text.slice(at, end);
    if (trim) piece = piece.trimStart();
    if (trimEnd) piece = piece.trimEnd();
    if (piece !== '') found.push({ text: piece });
  };
  for (const match of text.matchAll(action)) {
    addText(match.index, match[1] !== undefined);
    found.push({ action: match[0], tokens: tokensOf(match[2] ?? '', match[0]) });
    at = match.index + match[0].length;
    trim = match[3] !== undefined;
  }
  if (text.slice(at).includes('{{'))
    throw templateError(`an action is not closed: ${text.slice(text.indexOf('{{', at))}`);
  addText(text.length, false);
  return found;
}

function tokensOf(text: string, action: string): Token[] {
  const tokens: Token[] = [];
  let joined = false;
  ACTION.reset(text);
  try {
    for (const { type = '', text: word } of ACTION) {
      const isGap = type === 'space' || type === 'comment';
      if (!isGap) tokens.push({ type, text: word, joined });
      joined = !isGap;
    }
  } catch {
    throw templateError(`the syntax of ${action} is not valid`);
  }
  return tokens;
}

class Parser {
  readonly #pieces: readonly Piece[];
  #at = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  nodes(): readonly TemplateNode[] {
    const { nodes, ending } = this.#block();
    if (ending) throw templateError(`${ending.action} has no matching if, range or with`);
    return nodes;
  }

  /** Parses nodes up to the `else` or `end` of the block, which it returns as `ending`. */
  #block(): { readonly nodes: TemplateNode[]; readonly ending: Action | undefined } {
    const nodes: TemplateNode[] = [];
    for (; this.#at < this.#pieces.length; ) {
      const piece = this.#pieces[this.#at++]!;
      if ('text' in piece) {
        nodes.push({ kind: 'text', text: piece.text });
        continue;
      }
      const action = new Action(piece.action, piece.tokens);
      if (action.word === 'end' || action.word === 'else') return { nodes, ending: action };
      const node = this.#node(action);
      if (node) nodes.push(node);
    }
    return { nodes, ending: undefined };
  }

  #node(action: Action): TemplateNode | undefined {
    const { word } = action;
    if (word === 'range' || word === 'if' || word === 'with')
      return this.#branches(word, action.after(1));
    if (action.isEmpty) return undefined;
    const [name, ...more] = action.assigned();
    if (more.length > 0) throw templateError(`${action.action} assigns more than one variable`);
    const value = action.whole();
    return name === undefined ? { kind: 'print', value } : { kind: 'assign', name, value };
  }

  #branches(kind: 'range' | 'if' | 'with', action: Action): TemplateNode {
    const names = action.assigned();
    const value = action.whole();
    const { nodes: body, ending } = this.#block();
    if (ending?.word === 'end') return { kind, names, value, body, otherwise: [] };
    if (!ending) throw templateError(`${action.action} has no {{end}}`);
    const rest = ending.after(1);
    // `else if` is an if inside the else branch. The two share one end.
    if (rest.word === 'if' || rest.word === 'with')
      return { kind, names, value, body, otherwise: [this.#branches(rest.word, rest.after(1))] };
    const { nodes: otherwise, ending: last } = this.#block();
    if (last?.word !== 'end') throw templateError(`${action.action} has no {{end}}`);
    return { kind, names, value, body, otherwise };
  }
}

/** Parses the content of one pair of double braces. */
class Action {
  readonly action: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(action: string, tokens: readonly Token[]) {
    this.action = action;
    this.#tokens = tokens;
  }

  get isEmpty(): boolean {
    return this.#tokens.length === 0;
  }

  get word(): string | undefined {
    const [first] = this.#tokens;
    return first?.type === 'word' ? first.text : undefined;
  }

  after(count: number): Action {
    return new Action(this.action, this.#tokens.slice(count));
  }

  /** Parses the names of the variables before `:=`. Returns an empty list when there is none. */
  assigned(): string[] {
    const at = this.#tokens.findIndex(({ type }) => type === 'assign');
    if (at < 0) return [];
    const names = this.#tokens.slice(0, at).filter(({ type }) => type !== 'comma');
    if (names.length === 0 || names.length > 2 || !names.every(({ type }) => type === 'variable'))
      throw this.#wrong();
    this.#at = at + 1;
    return names.map(({ text }) => text.slice(1));
  }

  /** Parses the rest of the action as one pipeline. */
  whole(): Expression {
    const value = this.#pipeline();
    if (this.#at < this.#tokens.length) throw this.#wrong();
    return value;
  }

  #pipeline(): Expression {
    let value = this.#command();
    while (this.#next('pipe')) {
      const call = this.#command();
      if (call.kind !== 'call') throw this.#wrong();
      // The value before the pipe is the last argument of the function after it.
      value = { ...call, args: [...call.args, value] };
    }
    return value;
  }

  #command(): Expression {
    const name = this.#next('word');
    if (!name || isConstant(name.text)) {
      if (name) this.#at--;
      const value = this.#operand();
      if (!value) throw this.#wrong();
      return value;
    }
    const args: Expression[] = [];
    for (let arg = this.#operand(); arg; arg = this.#operand()) args.push(arg);
    return { kind: 'call', name: name.text, args };
  }

  #operand(): Expression | undefined {
    const token = this.#tokens[this.#at];
    if (!token) return undefined;
    this.#at++;
    switch (token.type) {
      case 'string':
      case 'raw':
        return {
          kind: 'literal',
          value: token.type === 'raw' ? token.text.slice(1, -1) : this.#unquoted(token.text),
        };
      case 'number':
        return { kind: 'literal', value: Number(token.text) };
      case 'dot':
        return { kind: 'path', from: 'dot', fields: [] };
      case 'field':
        return { kind: 'path', from: 'dot', fields: [token.text.slice(1), ...this.#fields()] };
      case 'variable':
        return { kind: 'path', from: { variable: token.text.slice(1) }, fields: this.#fields() };
      case 'open': {
        const inner = this.#pipeline();
        if (!this.#next('close')) throw this.#wrong();
        const fields = this.#fields();
        return fields.length === 0 ? inner : { kind: 'path', from: inner, fields };
      }
      case 'word':
        if (isConstant(token.text)) return { kind: 'literal', value: CONSTANTS[token.text] };
        // A function without arguments.
        return { kind: 'call', name: token.text, args: [] };
      default:
        this.#at--;
        return undefined;
    }
  }

  /** Parses fields that follow without a space, such as `.A.B`. */
  #fields(): string[] {
    const fields: string[] = [];
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token?.type !== 'field' || !token.joined) return fields;
      fields.push(token.text.slice(1));
      this.#at++;
    }
  }

  #next(type: string): Token | undefined {
    const token = this.#tokens[this.#at];
    if (token?.type !== type) return undefined;
    this.#at++;
    return token;
  }

  #unquoted(text: string): string {
    try {
      return JSON.parse(text) as string;
    } catch {
      throw this.#wrong();
    }
  }

  #wrong(): KilnError {
    return templateError(`the expression ${this.action} is not valid`);
  }
}

const CONSTANTS = { true: true, false: false, nil: null } as const;

function isConstant(word: string): word is keyof typeof CONSTANTS {
  return Object.hasOwn(CONSTANTS, word);
}

/** Returns the error for a template that is not valid. `why` is the reason. */
export function templateError(why: string, hint?: string): KilnError {
  return new KilnError('KILN_TEMPLATE_INVALID', `the template is not valid: ${why}`, {
    place: { kind: 'flag', flag: '--format' },
    hint: hint ?? "write a Go template, such as '{{json .}}' or '{{.Name}}'",
    exitCode: 2,
  });
}

/**
 * Says whether the template uses the field `field` of the current value or of a variable. The field
 * '' stands for the value itself, as in `{{json .}}`.
 */
export function mentions(nodes: readonly TemplateNode[], field: string): boolean {
  const inValue = (value: Expression): boolean => {
    if (value.kind === 'literal') return false;
    if (value.kind === 'call') return value.args.some(inValue);
    return (
      (value.fields[0] ?? '') === field ||
      (typeof value.from === 'object' && 'kind' in value.from && inValue(value.from))
    );
  };
  return nodes.some((node) => {
    if (node.kind === 'text') return false;
    if (inValue(node.value)) return true;
    return 'body' in node && (mentions(node.body, field) || mentions(node.otherwise, field));
  });
}
