import { KilnError, messageOf } from '../base/errors.ts';
import type { WarningEvent } from '../base/progress.ts';

/** Prints a failure to standard error: the place with its excerpt, what is wrong and its code, the next step. A bug prints its stack. */
export async function printError(error: unknown): Promise<void> {
  if (!(error instanceof KilnError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const cause =
      error instanceof Error && error.cause instanceof Error ? `\ncaused by: ${error.cause.stack ?? error.cause.message}` : '';
    process.stderr.write(`ERROR: this is a bug in Kiln, please report it: ${messageOf(error)}\n${stack}${cause}\n`);
    return;
  }
  const { excerpt, placeName } = await import('../frontend/diagnostics.ts');
  const { place, notes, hint } = error;
  const lines: string[] = [];
  if (notes.length > 0) lines.push('------', ...notes, '------');
  if (place) lines.push(placeName(place));
  if (place?.kind === 'source') lines.push(...excerpt(place));
  lines.push(`ERROR: ${error.message} [${error.code}]`);
  if (hint) lines.push(`hint: ${hint}`);
  process.stderr.write(`${lines.join('\n')}\n`);
}

/** Warnings after a build, each with the lines it is about, as buildx shows them. */
export function printWarnings(warnings: readonly WarningEvent[]): void {
  if (warnings.length === 0) return;
  const count = warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`;
  const lines = ['', `${count} found:`];
  for (const { short, detail, url, source } of warnings) {
    lines.push(` - ${short}${source ? ` (${source.name}:${source.startLine})` : ''}`);
    for (const line of detail) lines.push(`   ${line}`);
    if (url) lines.push(`   more: ${url}`);
  }
  process.stderr.write(`${lines.join('\n')}\n`);
}
