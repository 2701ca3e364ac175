/** The size in cells that a terminal reports. 0 or undefined when it does not know its size. */
export interface ReportedSize {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** A size in cells to draw for. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The largest plausible size. Some terminals report more when they do not know their size. */
const MOST = 1000;

/**
 * Returns the size to draw for: the one that the terminal reports, else COLUMNS and LINES, else 80
 * by 24. `script`, `expect` and serial consoles report 0.
 */
export function sizeFor(reported: ReportedSize, env: NodeJS.ProcessEnv): Size {
  return {
    columns: plausible(reported.columns) ?? plausible(Number(env['COLUMNS'])) ?? 80,
    rows: plausible(reported.rows) ?? plausible(Number(env['LINES'])) ?? 24,
  };
}

function plausible(count: number | undefined): number | undefined {
  return count !== undefined && Number.isInteger(count) && count > 0 && count <= MOST
    ? count
    : undefined;
}

/** Says whether the terminal can move its cursor: TERM is set and is not `dumb`. */
export function canMoveCursor(env: NodeJS.ProcessEnv): boolean {
  const term = env['TERM'] ?? '';
  return term !== '' && term !== 'dumb';
}

/**
 * Says whether Kiln colours its own lines. NO_COLOR (no-color.org), CLICOLOR=0 and a terminal
 * without colours switch it off.
 */
export function colorEnabled(env: NodeJS.ProcessEnv): boolean {
  return (env['NO_COLOR'] ?? '') === '' && env['CLICOLOR'] !== '0' && canMoveCursor(env);
}
