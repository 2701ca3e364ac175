import type { LogLine } from '../history/build-view.ts';

/** A line of a log as the page has it. */
export interface ShownLine extends LogLine {
  /** How many characters of it were left out. */
  readonly cut?: number;
  /** Its number in the whole log, from 1, where lines before it were left out. */
  readonly at?: number;
}

/** A line is shown up to this many characters. The rest is in the log as text. */
const LINE_LIMIT = 4096;

/** A line as the page shows it. A line of megabytes would stop the browser. */
export function shownLine(line: LogLine, limit = LINE_LIMIT): ShownLine {
  const cut = line.text.length - limit;
  return cut > 0 ? { ...line, text: line.text.slice(0, limit), cut } : line;
}
