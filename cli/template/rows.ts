import { stdout } from '../output.ts';
import { table } from '../table.ts';
import { renderTemplate } from './evaluate.ts';
import { parseTemplate } from './parse.ts';

/** The fields that a list can show, with the titles of their columns. */
export type Columns = Readonly<Record<string, string>>;

/** One line of a list: its fields by name. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Prints rows as docker's lists do. `format` is `table` (the default), `json` (an object per line),
 * a Go template for each row, or `table TEMPLATE`, whose columns are separated by `\t`. `shown` are
 * the columns of the table. Throws KILN_TEMPLATE_INVALID.
 */
export function printRows(
  rows: readonly Row[],
  columns: Columns,
  shown: readonly string[],
  format: string | undefined,
): void {
  if (format === undefined || format === 'table')
    stdout.write(
      table([
        shown.map((name) => columns[name] ?? ''),
        ...rows.map((row) => shown.map((name) => String(row[name]))),
      ]),
    );
  else if (format === 'json') for (const row of rows) stdout.write(`${JSON.stringify(row)}\n`);
  else printTemplate(rows, columns, format);
}

function printTemplate(rows: readonly Row[], columns: Columns, format: string): void {
  const text = /^table\s+(.*)$/s.exec(format)?.[1];
  const nodes = parseTemplate((text ?? format).replace(/\\t/g, '\t').replace(/\\n/g, '\n'));
  const lines = rows.map((row) => renderTemplate(nodes, row));
  if (text === undefined) for (const line of lines) stdout.write(`${line}\n`);
  else
    stdout.write(table([renderTemplate(nodes, columns), ...lines].map((line) => line.split('\t'))));
}
