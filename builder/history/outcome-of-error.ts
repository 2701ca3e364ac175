import { KilnError, messageOf } from '../../base/errors.ts';

/** What the last line of a log says of the error that ended the build. */
export function outcomeOfError(error: unknown): Readonly<Record<string, unknown>> {
  const told = { error: messageOf(error) };
  if (!(error instanceof KilnError)) return told;
  const { code, hint, place } = error;
  const lines =
    place?.kind === 'source'
      ? { source: place.source.name, start: place.start.line, end: place.end.line }
      : undefined;
  return { ...told, code, hint, lines };
}
