import { bytes } from '../../base/units.ts';
import { prune, survey } from '../../cache/gc/collect.ts';
import { parseFilterFlags } from '../../cache/gc/filter.ts';
import { type Item, isOfImage } from '../../cache/gc/item.ts';
import { totalSize } from '../../cache/gc/plan.ts';
import { NO_LIMITS } from '../../cache/gc/policy.ts';
import { isUntagged } from '../../images/find-image.ts';
import { type Command, collect, newCommand, newGroup, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { dockerGroupHelp } from '../docker-commands.ts';
import { openLocalEngine } from '../engine.ts';
import { stderr, stdout } from '../output.ts';
import { confirmed } from '../prompt.ts';
import { pruneImages } from './image-prune.ts';

const dfCommand = () =>
  newCommand('system df', 'Show the disk usage of images and of the build cache')
    .option('-v, --verbose', 'list everything that takes space, as kiln du does')
    .option('--format <format>', "format the output: 'table', 'json' or a Go template");

const pruneCommand = () =>
  newCommand('system prune', 'Remove images without a name, and build cache')
    .option('-a, --all', 'remove all images and all build cache')
    .option('-f, --force', 'do not prompt for confirmation')
    .option('--filter <filter>', 'remove only what matches: until=24h, label=, label!=', collect)
    .option('--volumes', 'no effect: Kiln has no volumes');

export function declareCommand(): Command {
  return newGroup('system', "Docker's names for commands of Kiln", [dfCommand(), pruneCommand()]);
}

/** `kiln system df` and `kiln system prune`. */
export async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === 'df') return await df(rest);
  if (name === 'prune') return await pruneAll(rest);
  stdout.write(dockerGroupHelp('system'));
  return 0;
}

async function df(argv: readonly string[]): Promise<number> {
  const command = dfCommand();
  if (!parseArguments(command, argv)) return 0;
  const { verbose, format } = command.opts<{ verbose?: boolean; format?: string }>();
  if (verbose)
    return await (await import('./du.ts')).run([
      ...(format === undefined ? ['--verbose'] : ['--format', format]),
    ]);
  await using engine = openLocalEngine();
  const items = survey(engine);
  const images = engine.images.list();
  const counted = items.filter(({ fixed }) => !fixed);
  const cache = counted.filter((item) => !isOfImage(item));
  const rows = [
    row('Images', counted.filter(isOfImage), {
      total: new Set(images.map(({ target }) => target.digest)).size,
      active: new Set(
        images.filter(({ name }) => !isUntagged(name)).map(({ target }) => target.digest),
      ).size,
    }),
    row('Containers', [], { total: 0, active: 0 }),
    row('Local Volumes', [], { total: 0, active: 0 }),
    row('Build Cache', cache, {
      total: cache.length,
      active: cache.filter(({ inUse }) => inUse).length,
    }),
  ];
  const { printRows } = await import('../template/rows.ts');
  printRows(rows, COLUMNS, Object.keys(COLUMNS), format);
  return 0;
}

const COLUMNS = {
  Type: 'TYPE',
  TotalCount: 'TOTAL',
  Active: 'ACTIVE',
  Size: 'SIZE',
  Reclaimable: 'RECLAIMABLE',
};

function row(
  type: string,
  items: readonly Item[],
  { total, active }: { readonly total: number; readonly active: number },
) {
  const size = totalSize(items);
  const free = totalSize(items.filter(({ inUse, shared }) => !inUse && !shared));
  const share = size > 0 ? ` (${Math.round((100 * free) / size)}%)` : '';
  return {
    Type: type,
    TotalCount: String(total),
    Active: String(active),
    Size: bytes(size),
    Reclaimable: `${bytes(free)}${share}`,
  };
}

async function pruneAll(argv: readonly string[]): Promise<number> {
  const command = pruneCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{
    all?: boolean;
    force?: boolean;
    filter?: string[];
    volumes?: boolean;
  }>();
  if (flags.volumes) stderr.write('WARNING: --volumes has no effect: Kiln has no volumes\n');
  const all = flags.all === true;
  const filters = flags.filter ?? [];
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const what = all ? 'all images and all build cache' : 'images without a name, and build cache';
  if (!flags.force && !(await confirmed(`This will remove ${what}.`))) return 0;
  const ofImages = await pruneImages(engine, { all, filters }, cancel.signal);
  // Cache has no labels: with a filter for them, only images are removed.
  const times = filters.filter((filter) => filter.startsWith('until='));
  const removed =
    times.length < filters.length
      ? []
      : await prune(
          engine,
          [{ name: '', ...parseFilterFlags(times), all, ...NO_LIMITS }],
          cancel.signal,
        );
  stdout.write(`Freed ${bytes(ofImages + totalSize(removed.map(({ item }) => item)))}\n`);
  return 0;
}
