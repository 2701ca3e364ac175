import { KilnError, messageOf } from '../base/errors.ts';
import { unhandledOsError } from '../base/oserror.ts';
import type { WarningEvent } from '../base/progress.ts';
import { redactError, redactUrl } from '../base/redact.ts';
import { stderr } from './output.ts';
import { plainLine } from './terminal/text.ts';

/**
 * Prints an error to standard error: the place with an excerpt of the file, the message with its
 * code, and a hint about the next step. An error that is not a KilnError is a bug in Kiln and is
 * printed with its stack. Passwords in URLs are left out. Returns the exit code of a command that
 * fails with the error. It is 70 for a bug.
 */
export async function printError(thrown: unknown): Promise<number> {
  const error = await errorForUser(thrown);
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
    return 70;
  }
  const { renderError } = await import('../frontend/diagnostics.ts');
  const redacted = redactError(error);
  stderr.write(`${renderError(stderr.isTTY ? withCleanNotes(redacted) : redacted)}\n`);
  return error.exitCode;
}

/**
 * Removes colours and other escape sequences from the notes, for a terminal. Notes are mostly the
 * end of a step's output.
 */
function withCleanNotes(error: KilnError): KilnError {
  const { code, message, place, hint, exitCode } = error;
  return new KilnError(code, message, { place, hint, exitCode, notes: error.notes.map(plainLine) });
}

/**
 * Returns the error that the user sees: an error of the system becomes a KilnError. Only here, when
 * something has failed, the modules are loaded that know where the store is.
 */
async function errorForUser(thrown: unknown): Promise<unknown> {
  const error = originalError(thrown);
  if (error instanceof KilnError) return error;
  const { ownStoreRoot } = await import('./store-root.ts');
  const { storeFailure } = await import('../snapshotter/store/store-errors.ts');
  return unhandledOsError(storeFailure(error, ownStoreRoot()));
}

/**
 * Returns the error that came first. Disposing resources after it may have thrown further errors.
 */
function originalError(error: unknown): unknown {
  return error instanceof SuppressedError ? originalError(error.suppressed) : error;
}

/** How many warnings are shown with their lines. The others are shown as one sentence. */
const SHOWN_IN_FULL = 5;

/** Prints the warnings of a build to standard error, as buildx does. */
export async function printWarnings(warnings: readonly WarningEvent[]): Promise<void> {
  if (warnings.length > 0) stderr.write(await warningText(warnings));
}

/** The warnings of a build as text, with the lines of the Dockerfile that they are about. */
export async function warningText(warnings: readonly WarningEvent[]): Promise<string> {
  if (warnings.length === 0) return '';
  const { markedLines } = await import('../frontend/diagnostics.ts');
  const fromChecks = warnings.some(({ source }) => source !== undefined);
  const count = warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`;
  const lines = ['', `${count} found${fromChecks ? " ('kiln build --check' shows more)" : ''}:`];
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
  return `${lines.join('\n')}\n`;
}
