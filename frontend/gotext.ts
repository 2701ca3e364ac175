/**
 * White space, quoting and case as in Docker's parser. It is written in Go, whose rules differ from
 * JavaScript's `\s`, `trim` and `JSON.stringify` in a few characters (U+0085 is a space there,
 * U+FEFF is not).
 */

/** The members of unicode.IsSpace, for use inside a character class. */
export const SPACE_CLASS =
  '\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const SPACE = new RegExp(`[${SPACE_CLASS}]`);

export function isSpace(char: string): boolean {
  const code = char.charCodeAt(0);
  if (code <= 0x20) return code === 0x20 || (code >= 9 && code <= 13);
  return code >= 0x85 && SPACE.test(char);
}

/** strings.TrimLeftFunc(text, unicode.IsSpace) */
export function trimLeft(text: string): string {
  let start = 0;
  while (start < text.length && isSpace(text[start]!)) start++;
  return start === 0 ? text : text.slice(start);
}

/** strings.TrimRightFunc(text, unicode.IsSpace) */
export function trimRight(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text[end - 1]!)) end--;
  return end === text.length ? text : text.slice(0, end);
}

/** strings.TrimSpace */
export function trimSpace(text: string): string {
  return trimLeft(trimRight(text));
}

/** Drops every `\r` and `\n` at the end. */
export function trimNewline(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === '\n' || text[end - 1] === '\r')) end--;
  return end === text.length ? text : text.slice(0, end);
}

/** The white space that separates plain arguments: ASCII without line feed. */
export const ARGUMENT_SPACE = /[\t\v\f\r ]+/;

const SHORT: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

/** `%q`: a double-quoted Go string literal. */
export function quote(text: string): string {
  const body = text.toWellFormed().replace(/[\\"]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (char) => {
    const short = SHORT[char];
    if (short) return short;
    const code = char.codePointAt(0)!;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code < 0x10000
      ? `\\u${code.toString(16).padStart(4, '0')}`
      : `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `"${body}"`;
}
