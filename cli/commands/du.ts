import { bytes } from '../../base/units.ts';
import { survey } from '../../cache/gc/collect.ts';
import { parseFilterFlags } from '../../cache/gc/filter.ts';
import type { Item } from '../../cache/gc/item.ts';
import { totalSize } from '../../cache/gc/plan.ts';
import { type Command, collect, newCommand, Option, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { ago, table } from '../table.ts';

export function declareCommand(): Command {
  return newCommand('du', 'Show the disk usage of the store')
    .option('-v, --verbose', 'show a more verbose output, with all details of each item')
    .option(
      '--filter <filter>',
      'show only items that match: type=, id=, until=, inuse, shared, mutable, description~=',
      collect,
    )
    .addOption(
      new Option('--format <format>', 'json: print one object per line').choices(['json']),
    );
}

/**
 * `kiln du`: shows the disk usage of the store. Each byte is counted once, and sizes are what files
 * occupy on disk. Many small items of one kind share a row, unless a flag asks for each item.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{ verbose?: boolean; filter?: string[]; format?: string }>();
  const { filter, keepMs } = parseFilterFlags(flags.filter ?? []);
  await using engine = openLocalEngine();
  const now = Date.now();
  const items = survey(engine, now)
    // The filter `until` leaves out items that were used recently. Without it, an item that is used
    // while this runs is shown, too.
    .filter((item) => filter(item) && (keepMs === 0 || item.used <= now - keepMs))
    .sort((a, b) => b.used - a.used);
  if (flags.format === 'json')
    for (const item of items) stdout.write(`${JSON.stringify(jsonOf(item))}\n`);
  else if (flags.verbose) stdout.write(items.map(verbose).join('\n'));
  else stdout.write(flags.filter ? itemTable(items) : groupedTable(items));
  if (flags.format !== 'json') stdout.write(`\n${totals(items)}`);
  return 0;
}

/** Items with fewer bytes than this are grouped. */
const SMALL = 1_000_000;
/** The least number of items in a group. */
const MANY = 3;

function groupedTable(items: readonly Item[]): string {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const label = item.size < SMALL && !item.inUse && !item.fixed ? groupOf(item) : item.id;
    const group = groups.get(label);
    if (group) group.push(item);
    else groups.set(label, [item]);
  }
  const rows = [...groups].flatMap(([label, group]) =>
    group.length < MANY ? group : [grouped(label, group)],
  );
  return itemTable(rows.sort((a, b) => b.used - a.used));
}

function groupOf({ type, description, content, shared }: Item): string {
  if (content.image !== undefined) return 'images without a name';
  if (content.layer !== undefined) return shared ? 'small layers of images' : 'small layers';
  return type === 'exec.cachemount' ? 'small cache mounts' : description;
}

function grouped(label: string, group: readonly Item[]): Item {
  const used = Math.max(...group.map((item) => item.used));
  const fixed = !group.some(isReclaimable);
  const shared = group.every((item) => item.shared);
  return {
    ...group[0]!,
    id: `(${group.length} items)`,
    description: label,
    size: totalSize(group),
    used,
    fixed,
    shared,
    mutable: false,
  };
}

/**
 * Returns the items as a table in the form of buildx. A `*` after an ID marks a mutable item, a `*`
 * after a size one that is shared with an image. `more` returns the text of the last column.
 */
export function itemTable(
  items: readonly Item[],
  more: (item: Item) => string = (item) => item.description,
): string {
  const rows = items.map((item) => [
    item.id.slice(0, 26) + (item.mutable ? '*' : ''),
    String(isReclaimable(item)),
    bytes(item.size) + (item.shared ? '*' : ''),
    ago(item.used),
    more(item).replace(/\s+/g, ' ').slice(0, 70),
  ]);
  return table([['ID', 'RECLAIMABLE', 'SIZE', 'LAST ACCESSED', 'DESCRIPTION'], ...rows]);
}

function isReclaimable(item: Item): boolean {
  return !item.inUse && !item.shared && !item.fixed;
}

/** Returns the lines with the sums of the sizes. */
export function totals(items: readonly Item[]): string {
  const shared = items.filter((item) => item.shared);
  const rows = [
    ['Shared:', bytes(totalSize(shared))],
    ['Private:', bytes(totalSize(items) - totalSize(shared))],
    ['Reclaimable:', bytes(totalSize(items.filter(isReclaimable)))],
    ['Total:', bytes(totalSize(items))],
  ];
  return rows.map(([name = '', size]) => `${name.padEnd(14)}${size}\n`).join('');
}

function verbose(item: Item): string {
  const lines: [string, unknown][] = [
    ['ID', item.id],
    ...(item.parents.length > 0 ? [['Parent', item.parents.join(',')] as [string, unknown]] : []),
    ['Created at', new Date(item.created).toISOString()],
    ['Mutable', item.mutable],
    ['Reclaimable', isReclaimable(item)],
    ['In use', item.inUse],
    ['Shared', item.shared],
    ['Size', `${bytes(item.size)} (${item.size} bytes)`],
    ['Description', item.description],
    ['Last used', ago(item.used)],
    ['Type', item.type],
  ];
  return lines.map(([name, value]) => `${`${name}:`.padEnd(16)}${value}\n`).join('');
}

function jsonOf(item: Item): object {
  return {
    ID: item.id,
    Parents: item.parents,
    CreatedAt: new Date(item.created).toISOString(),
    LastUsedAt: new Date(item.used).toISOString(),
    Mutable: item.mutable,
    Reclaimable: isReclaimable(item),
    InUse: item.inUse,
    Shared: item.shared,
    Size: item.size,
    Description: item.description,
    Type: item.type,
  };
}
