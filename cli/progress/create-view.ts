import { canMoveCursor, sizeFor } from '../terminal/terminal-size.ts';
import type { Output, ProgressMode, ProgressView, ViewOptions } from './view.ts';

/** The fewest rows in which the live view makes sense. */
const FEWEST_ROWS = 3;

/**
 * The view for `mode`; `auto` is the live view on a terminal that can draw it and plain lines
 * elsewhere. The live view needs a terminal: without one `tty` is plain, too. Modules are loaded
 * when needed.
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
