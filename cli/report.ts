import { KilnError, messageOf } from '../base/errors.ts';

/** Prints a failure to standard error: the place with its excerpt, what is wrong, the code, the next step. A bug prints its stack. */
export async function printError(error: unknown, prefix = ''): Promise<void> {
  if (!(error instanceof KilnError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`ERROR: this is a bug in Kiln, please report it: ${messageOf(error)}\n${stack}\n`);
    return;
  }
  const { renderError } = await import('../frontend/diagnostics.ts');
  process.stderr.write(renderError(error, prefix));
}
