import { bytes } from '../../base/units.ts';
import type { Engine } from '../../builder/engine.ts';
import { prune } from '../../cache/gc/collect.ts';
import type { Item } from '../../cache/gc/item.ts';
import { totalSize } from '../../cache/gc/plan.ts';
import { NO_LIMITS } from '../../cache/gc/policy.ts';
import { isUntagged, shownName } from '../../images/find-image.ts';
import { labelsOf } from '../../images/read.ts';
import { type Command, collect, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { imageFilter } from '../image-filter.ts';
import { stdout } from '../output.ts';
import { confirmed } from '../prompt.ts';

export function declareCommand(): Command {
  return newCommand('image prune', 'Remove images without a name')
    .option('-a, --all', 'remove all images, also those with a name')
    .option('-f, --force', 'do not prompt for confirmation')
    .option(
      '--filter <filter>',
      'remove only images that match: until=24h, label=, label!=',
      collect,
    );
}

const FILTERS = ['until', 'label', 'label!'];

/** Which images `pruneImages` removes. */
export interface ImagesToPrune {
  /** Also images with a name. */
  readonly all: boolean;
  /** Values of `--filter`. */
  readonly filters: readonly string[];
}

/**
 * `kiln image prune`: removes the images without a name, or all, and data that only they used.
 * Keeps the build cache.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{ all?: boolean; force?: boolean; filter?: string[] }>();
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const what = { all: flags.all === true, filters: flags.filter ?? [] };
  // A wrong filter is told before the question.
  imagesFor(engine, what);
  const about = `This will remove all images${what.all ? '' : ' without a name'}.`;
  if (!flags.force && !(await confirmed(about))) return 0;
  stdout.write(`Freed ${bytes(await pruneImages(engine, what, cancel.signal))}\n`);
  return 0;
}

function imagesFor(engine: Engine, { all, filters }: ImagesToPrune) {
  const facts = {
    images: engine.images,
    labels: (image: Parameters<typeof labelsOf>[1]) => labelsOf(engine.content, image),
    now: Date.now(),
  };
  const isChosen = imageFilter(filters, facts, FILTERS);
  return engine.images.list().filter((image) => (all || isUntagged(image.name)) && isChosen(image));
}

/**
 * Removes images, and what only they used. Prints each. Returns how many bytes are free now.
 * Throws KILN_FILTER_INVALID.
 */
export async function pruneImages(
  engine: Engine,
  what: ImagesToPrune,
  signal: AbortSignal,
): Promise<number> {
  const chosen = imagesFor(engine, what);
  for (const { name } of chosen)
    if (!isUntagged(name) && engine.images.remove(name))
      stdout.write(`Untagged: ${shownName(name)}\n`);
  const names = new Set(chosen.map(({ name }) => name));
  const images = {
    name: '',
    filter: ({ content }: Item) => content.image !== undefined && names.has(content.image),
    keepMs: 0,
    all: false,
    ...NO_LIMITS,
  };
  const removed = await prune(engine, [images], signal);
  const unused = await prune(engine, [], signal);
  for (const { item } of removed)
    if (item.content.image !== undefined) stdout.write(`Deleted: ${item.content.image}\n`);
  return totalSize([...removed, ...unused].map(({ item }) => item));
}
