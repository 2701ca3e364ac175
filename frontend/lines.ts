import type { Place, Position, SourceText } from '../base/errors.ts';
import { isSpace, trimLeft, trimNewline, trimSpace } from './gotext.ts';
import { chomp, type HeredocHead } from './heredoc.ts';
import type { Directive, Heredoc } from './instructions.ts';
import { linesOf, problem } from './problem.ts';

/**
 * # From physical lines to logical lines
 *
 * Joins continued lines and drops comments and blank lines between them. Reads the directives at
 * the top of the file and, when asked, the bodies of heredocs. Every character of a logical line
 * has its position in the file. See the Dockerfile reference, "Format", "Parser directives",
 * "Here-Documents". Time is linear in the text.
 */
export interface LogicalLine {
  /**
   * The joined text. White space at its beginning is removed, and that of continuation lines is
   * kept.
   */
  readonly text: string;
  /**
   * Counted from 1. `endLine` is the last line that was read for `text`, before any heredoc body.
   */
  readonly startLine: number;
  readonly endLine: number;
  /** The comment lines right above, without `#`, since the last instruction or empty comment. */
  readonly comments: readonly string[];
  /** True when a blank line is between continued lines. */
  readonly emptyContinuation: boolean;
  /** The position in the file of character `index` of `text`. */
  positionOf(index: number): Position;
  /** The characters from `start` up to `end` as a place. */
  placeOf(start: number, end: number): Place;
}

export interface Directives {
  syntax?: Directive;
  escape?: Directive;
  check?: Directive;
}

/** A part of a logical line that comes from one physical line. */
interface Piece {
  readonly at: number;
  readonly line: number;
  readonly column: number;
}

export class LineReader {
  readonly source: SourceText;
  readonly directives: Directives = {};
  escape: '\\' | '`' = '\\';
  #offset = 0;
  /** The number of the line that was read last. */
  #line = 0;
  #directivesDone = false;
  #comments: string[] = [];

  constructor(source: SourceText) {
    this.source = source;
    if (source.text.startsWith('\ufeff')) this.#offset = 1;
  }

  /** The number of the last line read, from 1; 0 before the first. */
  get line(): number {
    return this.#line;
  }

  /**
   * The next instruction's line, or undefined at the end of the file. Throws
   * KILN_DOCKERFILE_DIRECTIVE.
   */
  next(): LogicalLine | undefined {
    for (let physical = this.#read(); physical !== undefined; physical = this.#read()) {
      const text = trimLeft(trimNewline(physical));
      const isDirective = this.#readDirective(text);
      if (text.startsWith('#')) {
        if (!isDirective) this.#noteComment(physical);
        continue;
      }
      if (text !== '') return this.#join(text, physical.length - trimLeft(physical).length);
    }
    return undefined;
  }

  /**
   * Reads the bodies of the heads. Each ends with the line `NAME`. Throws KILN_DOCKERFILE_HEREDOC
   * at the end of the file.
   */
  readHeredocs(heads: readonly HeredocHead[], startLine: number): Heredoc[] {
    return heads.map((head) => {
      const body: string[] = [];
      for (let physical = this.#read(); physical !== undefined; physical = this.#read()) {
        const line = trimNewline(physical);
        if ((head.chomp ? line.replace(/^\t+/, '') : line) === head.name) {
          const raw = body.join('');
          return { ...head, raw, content: head.chomp ? chomp(raw) : raw };
        }
        body.push(physical);
      }
      throw problem(
        'KILN_DOCKERFILE_HEREDOC',
        `unterminated heredoc: no line is just ${head.name}`,
        // The place excludes the text that follows, which may be the whole rest of the file.
        linesOf(this.source, startLine, startLine),
        `end the heredoc with a line that holds ${head.name} and nothing else`,
      );
    });
  }

  /** Reads one physical line with its line break. */
  #read(): string | undefined {
    const { text } = this.source;
    if (this.#offset >= text.length) return undefined;
    const newline = text.indexOf('\n', this.#offset);
    const end = newline < 0 ? text.length : newline + 1;
    const physical = text.slice(this.#offset, end);
    this.#offset = end;
    this.#line++;
    return physical;
  }

  #join(first: string, indent: number): LogicalLine | undefined {
    const startLine = this.#line;
    const chunks: string[] = [];
    const pieces: Piece[] = [];
    let length = 0;
    let emptyContinuation = false;
    const add = (text: string, column: number): boolean => {
      const end = this.#continuation(text);
      const chunk = end < 0 ? text : text.slice(0, end);
      pieces.push({ at: length, line: this.#line, column });
      chunks.push(chunk);
      length += chunk.length;
      return end >= 0;
    };
    let open = add(
      first,
      indent + (startLine === 1 && this.source.text.startsWith('\ufeff') ? 2 : 1),
    );
    let endLine = startLine;
    for (
      let physical = open ? this.#read() : undefined;
      physical !== undefined;
      physical = open ? this.#read() : undefined
    ) {
      endLine = this.#line;
      const text = trimNewline(physical);
      const visible = firstVisible(text);
      if (visible === '#') continue;
      if (visible === '') emptyContinuation = true;
      else open = add(text, 1);
    }
    const comments = this.#comments;
    this.#comments = [];
    return logicalLine(
      this.source,
      { text: chunks.join(''), startLine, endLine, comments, emptyContinuation },
      pieces,
    );
  }

  /**
   * Where the text ends before a line continuation, or -1. A continuation is an escape that is not
   * itself escaped, followed by blanks only.
   */
  #continuation(text: string): number {
    let end = text.length - 1;
    while (end >= 0 && (text[end] === ' ' || text[end] === '\t')) end--;
    if (text[end] !== this.escape || text[end - 1] === this.escape) return -1;
    return end;
  }

  /** An empty comment line separates a description from other comments. */
  #noteComment(physical: string): void {
    const comment = trimSpace(physical.slice(1));
    if (comment === '') this.#comments = [];
    else this.#comments.push(comment);
  }

  /** True when `text` is a directive. The first other line ends the directives. */
  #readDirective(text: string): boolean {
    if (this.#directivesDone) return false;
    const match = text.startsWith('#')
      ? /^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+)$/.exec(trimLeft(text.slice(1)))
      : null;
    const name = match?.[1]?.toLowerCase();
    if (!match || (name !== 'syntax' && name !== 'escape' && name !== 'check')) {
      this.#directivesDone = true;
      return false;
    }
    const range = linesOf(this.source, this.#line, this.#line);
    if (this.directives[name]) {
      const message = `only one ${name} parser directive can be used`;
      throw problem('KILN_DOCKERFILE_DIRECTIVE', message, range, 'delete one of the two lines');
    }
    const value = match[2]!.replace(/[\t\n\f\r ]+$/, '');
    this.directives[name] = { value, range };
    if (name === 'escape') this.#setEscape(value);
    return true;
  }

  #setEscape(value: string): void {
    if (value === '\\' || value === '`') this.escape = value;
    else {
      const range = linesOf(this.source, this.#line, this.#line);
      throw problem(
        'KILN_DOCKERFILE_DIRECTIVE',
        `invalid escape token '${value}' does not match \` or \\`,
        range,
        'write # escape=` or # escape=\\',
      );
    }
  }
}

function firstVisible(text: string): string {
  for (let i = 0; i < text.length; i++) if (!isSpace(text[i]!)) return text[i]!;
  return '';
}

type LineFacts = Omit<LogicalLine, 'positionOf' | 'placeOf'>;

function logicalLine(source: SourceText, facts: LineFacts, pieces: readonly Piece[]): LogicalLine {
  const positionOf = (index: number): Position => {
    let low = 0;
    for (let high = pieces.length - 1; low < high; ) {
      const middle = (low + high + 1) >> 1;
      if (pieces[middle]!.at <= index) low = middle;
      else high = middle - 1;
    }
    const piece = pieces[low]!;
    return { line: piece.line, column: piece.column + index - piece.at };
  };
  const placeOf = (start: number, end: number): Place => {
    const last = positionOf(Math.max(start, end - 1));
    return {
      kind: 'source',
      source,
      start: positionOf(start),
      end: { line: last.line, column: last.column + 1 },
    };
  };
  return { ...facts, positionOf, placeOf };
}

/**
 * The last line of the instruction that begins at `line`, without the bodies of its heredocs. It is
 * `line` itself when no instruction begins there.
 */
export function lastLineOf(source: SourceText, line: number): number {
  const reader = new LineReader(source);
  try {
    for (let next = reader.next(); next && next.startLine <= line; next = reader.next())
      if (next.startLine === line) return next.endLine;
  } catch {
    // An invalid directive is reported by the caller.
  }
  return line;
}
