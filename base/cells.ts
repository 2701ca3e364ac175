import stringWidth from 'string-width';

/** Printable ASCII: one cell each. */
const PLAIN = /^[\u0020-\u007e]*$/;

let segmenter: Intl.Segmenter | undefined;

/** How many cells of a terminal the text takes: two for East Asian wide characters and emoji, none for combining marks. */
export function cellsOf(text: string): number {
  return PLAIN.test(text) ? text.length : stringWidth(text);
}

/** The beginning of the text that fits into `cells`, cut between whole characters (grapheme clusters, UAX #29). */
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

/** The text with spaces behind it up to `cells`. */
export function padToCells(text: string, cells: number): string {
  return text + ' '.repeat(Math.max(0, cells - cellsOf(text)));
}
