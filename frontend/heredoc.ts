import { expandWord } from './expand/expand.ts';

/** The head of a heredoc: the word `<<NAME`, `<<-NAME`, `3<<"NAME"`. */
export interface HeredocHead {
  readonly name: string;
  /**
   * True for `<<-`: tabs at the beginning of the body's lines and of the closing line are dropped.
   */
  readonly chomp: boolean;
  /** False when a part of the name is quoted. */
  readonly expand: boolean;
  readonly fd: number;
}

const NO_ENVIRONMENT = new Map<string, string>();

/**
 * The heredoc that `word` opens, if any. The word still has its quotes and escapes. Heredocs always
 * escape by `\`.
 */
export function parseHeredocWord(word: string): HeredocHead | undefined {
  const head = /^(\d*)<<(-?)/.exec(word);
  if (!head) return undefined;
  const rest = word.slice(head[0].length);
  if (rest === '' || rest.includes('<')) return undefined;
  const plain = expandWord(rest, NO_ENVIRONMENT, { keepUnset: true }).words;
  const name = plain[0];
  if (plain.length !== 1 || name === undefined) return undefined;
  const raw = expandWord(rest, NO_ENVIRONMENT, { keepUnset: true, rawQuotes: true }).words.join(
    ' ',
  );
  return {
    name,
    chomp: head[2] === '-',
    expand: quotesIn(name) === quotesIn(raw),
    fd: Number(head[1] || 0),
  };
}

function quotesIn(text: string): number {
  return text.match(/['"]/g)?.length ?? 0;
}

/**
 * The heredocs that an instruction's line opens, in order. A line with an open quote opens none.
 */
export function heredocsIn(line: string): HeredocHead[] {
  if (!line.includes('<<')) return [];
  const words = wordsOf(line);
  return words.map(parseHeredocWord).filter((head) => head !== undefined);
}

function wordsOf(line: string): readonly string[] {
  try {
    return expandWord(line, NO_ENVIRONMENT, {
      rawQuotes: true,
      rawEscapes: true,
      keepUnset: true,
      heredocWords: true,
    }).words;
  } catch {
    return [];
  }
}

/** `text` without the tabs at the beginning of its lines. */
export function chomp(text: string): string {
  return text.replace(/(^|\n)\t+/g, '$1');
}
