import { cellsOf, padToCells } from '../base/cells.ts';

/**
 * Returns the text of a table. Each column is as wide as its widest cell, and three spaces separate
 * columns, as in docker's tables.
 */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => cellsOf(row[column] ?? ''))),
  );
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) =>
            column === row.length - 1 ? cell : padToCells(cell, (widths[column] ?? 0) + 3),
          )
          .join('')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Returns a text such as `3 minutes ago` for a time in milliseconds since 1970. */
export function ago(time: number, now = Date.now()): string {
  const steps: readonly [number, string][] = [
    [60, 'second'],
    [60, 'minute'],
    [24, 'hour'],
    [7, 'day'],
    [4.35, 'week'],
    [12, 'month'],
    [Number.POSITIVE_INFINITY, 'year'],
  ];
  let value = Math.max(0, now - time) / 1000;
  for (const [next, unit] of steps) {
    if (value < next) {
      const count = Math.floor(value);
      return count === 1 ? `1 ${unit} ago` : `${count} ${unit}s ago`;
    }
    value /= next;
  }
  return '';
}
