import { cellsOf } from '../../base/cells.ts';
import type { Size } from '../terminal/terminal-size.ts';

/** Between these two, a terminal that knows them (DEC mode 2026) shows nothing until the end. */
const BEGIN = '\u001b[?2026h';
const END = '\u001b[?2026l';
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
/**
 * Line wrapping is off while drawing. If the window becomes narrower at this moment, the terminal
 * cuts the lines.
 */
const WRAP_OFF = '\u001b[?7l';
const WRAP_ON = '\u001b[?7h';
const ERASE_LINE = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

/** Lines at the end of the terminal's text that are drawn again and again in the same place. */
export class Screen {
  /** The widths in cells of the lines on the screen, which the next frame overwrites. */
  #drawn: readonly number[] = [];
  #rows = 0;
  /** The number of rows of older frames that a window that became lower moved off its top. */
  #lost = 0;

  /**
   * Returns the text that draws the lines over those of the last frame. It erases only what the
   * lines do not overwrite, so nothing flickers.
   */
  frame(lines: readonly string[], size: Size): string {
    const up = this.#rowsAbove(size);
    const back = up > 0 ? `\u001b[${up}A\r` : '';
    const text = lines.map((line) => `${line}${ERASE_LINE}\n`).join('');
    this.#drawn = lines.map(cellsOf);
    return (
      `${BEGIN}${HIDE_CURSOR}${WRAP_OFF}${back}${text}` +
      `${ERASE_BELOW}${WRAP_ON}${SHOW_CURSOR}${END}`
    );
  }

  /** The lines on the screen stay. The next frame is drawn below them. */
  keep(): void {
    this.#drawn = [];
    this.#rows = 0;
  }

  /**
   * Returns by how many rows the cursor has to go up. A terminal wraps lines for which its window
   * has become too narrow. When the window becomes lower, rows leave it at the top, and when it
   * becomes higher, they come back.
   */
  #rowsAbove({ columns, rows }: Size): number {
    const drawn = this.#drawn.reduce(
      (count, cells) => count + Math.max(1, Math.ceil(cells / columns)),
      0,
    );
    const back = Math.min(this.#lost, Math.max(0, rows - this.#rows));
    this.#rows = rows;
    if (drawn === 0) return 0;
    const above = drawn + back;
    // The cursor is in the row below the lines.
    const off = Math.max(0, above + 1 - rows);
    this.#lost += off - back;
    return above - off;
  }
}
