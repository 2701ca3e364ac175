import stringWidth from 'string-width';

/** Printable ASCII: each character takes one cell. */
const PLAIN = /^[\u0020-\u007e]*$/;

let segmenter: Intl.Segmenter | undefined;

/**
 * The number of terminal cells that the text takes: two for East Asian wide characters and emoji,
 * none for combining marks.
 */
export function cellsOf(text: string): number {
  return PLAIN.test(text) ? text.length : stringWidth(text);
}

/**
 * The longest beginning of the text that fits into `cells`. The cut is between whole characters
 * (grapheme clusters, UAX #29).
 */
export function cutToCells(text: string, cells: number): string {
  if (text.length <= cells && PLAIN.test(text)) return text;
  if (PLAIN.test(text)) return text.slice(0, cells);
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  let room = cells;
  let end = 0;
  for (const { segment, index } of segmenter.segment(text)) {
    room -= cellsOf(segment);
    if (room < 0) break;
    end = index + segment.length;
  }
  return text.slice(0, end);
}

/** The text, padded with spaces at its end to a width of `cells`. */
export function padToCells(text: string, cells: number): string {
  return text + ' '.repeat(Math.max(0, cells - cellsOf(text)));
}
