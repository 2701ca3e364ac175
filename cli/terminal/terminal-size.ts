/** What a terminal says of its size; 0 or nothing when it does not know. */
export interface SaidSize {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Sizes that no terminal has: what says more does not know. */
const MOST = 1000;

/**
 * The size to draw for: what the terminal says, else COLUMNS and LINES, else 80 by 24. `script`,
 * `expect` and serial consoles say 0.
 */
export function sizeFor(said: SaidSize, env: NodeJS.ProcessEnv): Size {
  return {
    columns: sensible(said.columns) ?? sensible(Number(env['COLUMNS'])) ?? 80,
    rows: sensible(said.rows) ?? sensible(Number(env['LINES'])) ?? 24,
  };
}

function sensible(count: number | undefined): number | undefined {
  return count !== undefined && Number.isInteger(count) && count > 0 && count <= MOST
    ? count
    : undefined;
}

/** Whether the terminal of this environment can move its cursor: TERM is set, and not `dumb`. */
export function canMoveCursor(env: NodeJS.ProcessEnv): boolean {
  const term = env['TERM'] ?? '';
  return term !== '' && term !== 'dumb';
}

/**
 * Whether Kiln colours its own lines: not with NO_COLOR (no-color.org) or CLICOLOR=0, nor on a
 * terminal without colours.
 */
export function wantsColor(env: NodeJS.ProcessEnv): boolean {
  return (env['NO_COLOR'] ?? '') === '' && env['CLICOLOR'] !== '0' && canMoveCursor(env);
}
