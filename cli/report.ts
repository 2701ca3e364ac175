import { KilnError, messageOf } from '../base/errors.ts';
import { untoldOsError } from '../base/oserror.ts';
import type { WarningEvent } from '../base/progress.ts';
import { redactError, redactUrl } from '../base/redact.ts';
import { stderr } from './output.ts';
import { cleanLine } from './terminal/text.ts';

/**
 * Prints a failure to standard error: the place with its excerpt, what is wrong and its code, the
 * next step. A bug prints its stack.
 */
export async function printError(thrown: unknown): Promise<void> {
  const error = untoldOsError(firstOf(thrown));
  if (!(error instanceof KilnError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const cause =
      error instanceof Error && error.cause instanceof Error
        ? `\ncaused by: ${error.cause.stack ?? error.cause.message}`
        : '';
    stderr.write(
      redactUrl(
        `ERROR: this is a bug in Kiln, please report it: ${messageOf(error)}\n${stack}${cause}\n`,
      ),
    );
    return;
  }
  const { renderError } = await import('../frontend/diagnostics.ts');
  const told = redactError(error);
  stderr.write(`${renderError(stderr.isTTY ? withCleanNotes(told) : told)}\n`);
}

/**
 * Notes are mostly the end of a step's output: a terminal shows it without its colours and other
 * sequences.
 */
function withCleanNotes(error: KilnError): KilnError {
  const { code, message, place, hint, exitCode } = error;
  return new KilnError(code, message, { place, hint, exitCode, notes: error.notes.map(cleanLine) });
}

/** How a command that failed with `thrown` ends: 70 for a bug. */
export function exitCodeOf(thrown: unknown): number {
  const error = untoldOsError(firstOf(thrown));
  return error instanceof KilnError ? error.exitCode : 70;
}

/** What went wrong first: what was closed because of it may have failed, too. */
function firstOf(error: unknown): unknown {
  return error instanceof SuppressedError ? firstOf(error.suppressed) : error;
}

/** Warnings whose lines are shown; of the rest only what they say. */
const SHOWN_IN_FULL = 5;

/** Warnings after a build, as buildx shows them, with the lines they are about. */
export async function printWarnings(warnings: readonly WarningEvent[]): Promise<void> {
  if (warnings.length === 0) return;
  const { markedLines } = await import('../frontend/diagnostics.ts');
  const ofChecks = warnings.some(({ source }) => source !== undefined);
  const count = warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`;
  const lines = ['', `${count} found${ofChecks ? " ('kiln build --check' says more)" : ''}:`];
  for (const [index, { short, detail, url, source }] of warnings.entries()) {
    lines.push(` - ${short}`);
    if (index >= SHOWN_IN_FULL) continue;
    if (source) {
      const start = { line: source.startLine, column: 0 };
      lines.push(
        ...markedLines({ kind: 'source', source, start, end: { line: source.endLine, column: 0 } }),
      );
    } else lines.push(...detail.map((line) => `   ${line}`));
    if (url) lines.push(`   ${url}`);
  }
  stderr.write(`${lines.join('\n')}\n`);
}
