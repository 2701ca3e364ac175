/**
 * Characters that would change what stands around them, or cannot be seen: controls, marks that
 * turn the direction of writing, and blanks without a width.
 */
const UNSEEN = new RegExp(
  '[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f' +
    '\\u2028-\\u202e\\u2060\\u2066-\\u2069\\ufeff]',
  'g',
);

/** Bytes of a name that are no UTF-8, as `decodeName` keeps them. */
const ODD_BYTES = /(?<![\ud800-\udbff])[\udc80-\udcff]/g;

/** A text with those characters written as their numbers, such as `⟨202E⟩`, and bytes as `\xff`. */
export function visible(text: string): string {
  return text
    .replace(
      UNSEEN,
      (char) => `⟨${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`,
    )
    .replace(ODD_BYTES, (char) => `\\x${(char.charCodeAt(0) - 0xdc00).toString(16)}`);
}

/** The beginning of a text of any length, on one line. */
export function brief(text: string, most = 200): string {
  const line = visible(text.slice(0, most + 1).replace(/\s+/g, ' '));
  return text.length > most ? `${line.slice(0, most)}…` : line;
}
