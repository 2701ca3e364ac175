import { canMoveCursor, sizeFor } from '../terminal/terminal-size.ts';
import type { Output, ProgressMode, ProgressView, ViewOptions } from './view.ts';

/** The least number of rows for the live view. */
const FEWEST_ROWS = 3;

/**
 * Creates the view for `mode`. `auto` is the live view on a terminal that can draw it, and plain
 * lines otherwise. `tty` is plain lines, too, when `output` is not a terminal. Only the module of
 * the chosen view is loaded.
 */
export async function createView(
  mode: ProgressMode,
  output: Output,
  options: ViewOptions,
): Promise<ProgressView> {
  switch (resolved(mode, output, options.env)) {
    case 'tty':
      return (await import('./tty.ts')).createTtyView(output, options);
    case 'plain':
      return (await import('./plain.ts')).createPlainView(output);
    case 'rawjson':
      return (await import('./rawjson.ts')).createRawJsonView(output);
    case 'quiet':
    case 'none':
      return { event() {}, close() {} };
  }
}

function resolved(
  mode: ProgressMode,
  output: Output,
  env: NodeJS.ProcessEnv,
): Exclude<ProgressMode, 'auto'> {
  if (mode !== 'auto' && mode !== 'tty') return mode;
  if (!output.isTTY) return 'plain';
  if (mode === 'tty') return 'tty';
  return canMoveCursor(env) && sizeFor(output, env).rows >= FEWEST_ROWS ? 'tty' : 'plain';
}
