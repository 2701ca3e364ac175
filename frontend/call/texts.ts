import type { Warning } from '../check/warning.ts';
import type { Outline } from '../convert/outline.ts';
import { excerpt, placeName } from '../diagnostics.ts';
import { placeOf } from '../problem.ts';
import type { CheckReport, Target } from './call.ts';

/*
 * The answers as texts, laid out as in buildx, without the error of a check, which goes to standard
 * error.
 */

/** `fileOf` gives the name under which a source is shown: the Dockerfile has its path. */
export function checkText(
  { warnings, error }: CheckReport,
  fileOf: (name: string) => string,
): string {
  const count = warnings.length;
  const head =
    count === 0
      ? 'no warnings found.'
      : `${count} ${count === 1 ? 'warning has' : 'warnings have'} been found!`;
  // The text is ordered by place, as in BuildKit. Only documents keep the order of finding.
  const parts = warnings.toSorted(byPlace).map(({ rule, message, range }) => {
    const source = { ...range.source, name: fileOf(range.source.name) };
    const place = placeOf({ ...range, source });
    return [
      `WARNING: ${rule.name} - ${rule.url}`,
      message,
      placeName(place),
      ...(rule.hidesLines ? [] : excerpt(place)),
    ].join('\n');
  });
  if (count === 0 && error) return '';
  return `${[`Check complete, ${head}`, ...parts].join('\n\n')}\n${error ? '\n' : ''}`;
}

/** Findings of one line keep their order. */
function byPlace(a: Warning, b: Warning): number {
  const [one, other] = [a.range, b.range];
  if (one.source.name !== other.source.name) return one.source.name < other.source.name ? -1 : 1;
  return one.start.line - other.start.line;
}

export function outlineText({ name, description, args, secrets, ssh, caches }: Outline): string {
  const parts: string[] = [];
  if (name || description)
    parts.push(
      table([
        ['TARGET: ', name || '(default)'],
        ...(description ? [['DESCRIPTION: ', description]] : []),
      ]),
    );
  if (args.length > 0)
    parts.push(
      table([
        ['BUILD ARG   ', 'VALUE   ', 'DESCRIPTION'],
        ...args.map((arg) => [`${arg.name}   `, `${arg.value}   `, arg.description]),
      ]),
    );
  const mounts = (title: string, found: Outline['secrets']) => {
    const rows = found.map((mount) => [`${mount.name}   `, mount.required ? 'true' : '']);
    if (found.length > 0) parts.push(table([[`${title}   `, 'REQUIRED'], ...rows]));
  };
  mounts('SECRET', secrets);
  mounts('SSH', ssh);
  if (caches.length > 0) parts.push(table([['CACHE'], ...caches.map((cache) => [cache.name])]));
  return parts.map((part) => `${part}\n`).join('');
}

export function targetsText(targets: readonly Target[]): string {
  return table([
    ['TARGET ', 'DESCRIPTION'],
    ...targets.map(({ name = '', isDefault, description }) => [
      `${name}${isDefault ? `${name === '' ? '' : ' '}(default)` : ''} `,
      description,
    ]),
  ]);
}

/**
 * Columns as wide as their widest cell, which includes its padding. The last column is not padded.
 */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!)));
  return rows.map((row) => `${line(row).join('')}\n`).join('');
}
