import { bytes } from '../../base/units.ts';
import { prune } from '../../cache/gc/collect.ts';
import { parseFilterFlags } from '../../cache/gc/filter.ts';
import type { Item } from '../../cache/gc/item.ts';
import { totalSize } from '../../cache/gc/plan.ts';
import { NO_LIMITS } from '../../cache/gc/policy.ts';
import { type Command, collect, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { confirmed } from '../prompt.ts';

export function declareCommand(): Command {
  return newCommand('image prune', 'Remove images without a name')
    .option('-f, --force', 'do not prompt for confirmation')
    .option('--filter <filter>', 'until=24h: remove only images that are older', collect);
}

/**
 * `kiln image prune`: removes the images without a name, and data that only they used. Keeps the
 * build cache.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{ force?: boolean; filter?: string[] }>();
  const { filter, keepMs } = parseFilterFlags(flags.filter ?? []);
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  if (!flags.force && !(await confirmed('This will remove all images without a name.'))) return 0;
  const images = {
    name: '',
    filter: (item: Item) => item.content.image !== undefined && filter(item),
    keepMs,
    all: false,
    ...NO_LIMITS,
  };
  const removed = await prune(engine, [images], cancel.signal);
  const unused = await prune(engine, [], cancel.signal);
  for (const { item } of removed)
    if (item.content.image !== undefined) stdout.write(`Deleted: ${item.content.image}\n`);
  stdout.write(`Freed ${bytes(totalSize([...removed, ...unused].map(({ item }) => item)))}\n`);
  return 0;
}
