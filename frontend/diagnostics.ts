import { cellsOf } from '../base/cells.ts';
import type { KilnError, Place, SourcePlace, SourceText } from '../base/errors.ts';

/**
 * # Errors as a person reads them
 *
 * ```
 * Dockerfile:2
 * --------------------
 *    1 |     FROM busybox
 *    2 | >>> COPPY a b
 *      |     ^^^^^
 * --------------------
 * ERROR: unknown instruction: COPPY (did you mean COPY?) [KILN_DOCKERFILE_UNKNOWN_INSTRUCTION]
 * hint: write COPY
 * ```
 * The excerpt looks as buildx prints it, with one line more when the columns are known. The end of
 * a failed step's output comes first.
 */
export function renderError({ notes, place, message, code, hint }: KilnError): string {
  const lines: string[] = [];
  if (notes.length > 0) lines.push('------', ...notes, '------');
  if (place) lines.push(placeName(place));
  if (place?.kind === 'source') lines.push(...excerpt(place));
  lines.push(`ERROR: ${message} [${code}]`);
  if (hint) lines.push(`hint: ${hint}`);
  return lines.join('\n');
}

/** A short form of the place: `Dockerfile:3`, `--flag` or a path. */
export function placeName(place: Place): string {
  if (place.kind === 'flag') return place.flag;
  if (place.kind === 'path') return place.path;
  return `${place.source.name}:${place.start.line}`;
}

const RULE = '--------------------';
/** The most marked lines that are shown; a heredoc may have thousands. */
const MAX_MARKED = 12;
/** The most characters of a line that are shown. */
const MAX_WIDTH = 200;

let split: { readonly text: string; readonly lines: readonly string[] } | undefined;

/** The lines of a text, cached because each warning asks for the same text. */
function linesOf({ text }: SourceText): readonly string[] {
  if (split?.text !== text) split = { text, lines: text.replace(/^\ufeff/, '').split('\n') };
  return split.lines;
}

/**
 * The lines of a place and a few around it: four when one line is marked, two otherwise. Empty when
 * the source does not have such a line.
 */
export function excerpt(place: SourcePlace): string[] {
  const lines = linesOf(place.source);
  const from = place.start.line;
  const to = Math.min(Math.max(place.end.line, from), lines.length);
  if (from < 1 || from > lines.length) return [];
  const [first, last] = widened(from, to, lines.length);
  const out = [RULE];
  for (let number = first; number <= last; number++) {
    const marked = number >= from && number <= to;
    if (marked && number >= from + MAX_MARKED) {
      out.push(`     |     … ${to - number + 1} more lines`);
      number = to;
      continue;
    }
    out.push(
      (
        `${String(number).padStart(4)} | ${marked ? '>>>' : '   '} ` +
        `${clip(lines[number - 1]!.replace(/\r$/, ''))}`
      ).trimEnd(),
    );
    if (marked && number === from) out.push(...underline(place, lines[from - 1]!));
  }
  return [...out, RULE];
}

/** The lines of a place without others, for a list of warnings. */
export function markedLines(place: SourcePlace): string[] {
  return excerpt(place).filter((line) => /^ *\d* \| (?:>>>| {4}…)/.test(line));
}

/** Adds lines at both ends in turn, as long as there are any. */
function widened(from: number, to: number, count: number): [number, number] {
  let [first, last] = [from, to];
  for (let padded = 0, limit = from === to ? 4 : 2; padded < limit; padded++) {
    if (first > 1) {
      first--;
      padded++;
    }
    if (last < count) {
      last++;
      padded++;
    }
  }
  return [first, last];
}

function underline(place: SourcePlace, line: string): string[] {
  const { start, end } = place;
  if (start.column === 0 || start.column > MAX_WIDTH) return [];
  const stop = end.line === start.line ? end.column : line.length + 1;
  const length = Math.max(1, Math.min(stop, line.length + 1, MAX_WIDTH) - start.column);
  const before = line.slice(0, start.column - 1);
  // Tabs are kept, so that they are as wide as those in the line above.
  const indent = before.split('\t').map((part) => ' '.repeat(cellsOf(part)));
  const marked = cellsOf(line.slice(before.length, before.length + length));
  return [`     |     ${indent.join('\t')}${'^'.repeat(Math.max(1, marked))}`];
}

function clip(line: string): string {
  return line.length > MAX_WIDTH ? `${line.slice(0, MAX_WIDTH)}…` : line;
}
