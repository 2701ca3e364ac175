import { familiarName, parseReference } from '../../base/reference.ts';
import type { Engine } from '../../builder/engine.ts';
import { isUntagged } from '../../images/find-image.ts';
import { labelsOf, readImage } from '../../images/read.ts';
import { type Sizes, sizesOfLayers, totalSizes } from '../../images/sizes.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import { type Command, collect, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { imageFilter } from '../image-filter.ts';
import { stdout } from '../output.ts';
import { sizeFields } from '../size-text.ts';
import { ago } from '../table.ts';
import type { Row } from '../template/rows.ts';

export function declareCommand(): Command {
  return newCommand('images', 'List the images in the local store')
    .argument('[name]', 'show only images whose name starts with this')
    .option('-a, --all', 'show all images (default hides images without a name)')
    .option('--digests', 'show digests')
    .option('-q, --quiet', 'only show image IDs')
    .option(
      '-f, --filter <filter>',
      'show only images that match: dangling=, reference=, label=, before=, since=, until=',
      collect,
    )
    .option('--format <format>', "format the output: 'table', 'json' or a Go template")
    .option('--no-trunc', "don't truncate output");
}

interface Flags {
  readonly all?: boolean;
  readonly digests?: boolean;
  readonly quiet?: boolean;
  readonly filter?: string[];
  readonly format?: string;
  readonly trunc: boolean;
}

const COLUMNS = {
  Repository: 'REPOSITORY',
  Tag: 'TAG',
  Digest: 'DIGEST',
  ID: 'IMAGE ID',
  CreatedSince: 'CREATED',
  CreatedAt: 'CREATED AT',
  Size: 'SIZE',
  CompressedSize: 'COMPRESSED SIZE',
  SizeBytes: 'SIZE',
  CompressedSizeBytes: 'COMPRESSED SIZE',
  Labels: 'LABELS',
};

/**
 * `kiln images`: lists images, newest first, with docker's columns. An image with several names has
 * a line for each. Images without a name are hidden by default, because each build without `-t`
 * makes one.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<Flags>();
  await using engine = openLocalEngine();
  const filters = flags.filter ?? [];
  const isShown = imageFilter(filters, {
    images: engine.images,
    labels: (image) => labelsOf(engine.content, image),
    now: Date.now(),
  });
  // Who asks for images without a name gets them.
  const all = flags.all || filters.some((filter) => filter.startsWith('dangling='));
  const stored = engine.images.list();
  const named = new Set(
    stored.flatMap(({ name, target }) => (isUntagged(name) ? [] : [target.digest])),
  );
  // What has a name is shown by it.
  const isOnlyNameless = ({ name, target }: StoredImage) =>
    isUntagged(name) && !named.has(target.digest);
  const images = [...stored]
    .sort((a, b) => b.created - a.created)
    .filter((image) => !isUntagged(image.name) || (all && isOnlyNameless(image)))
    .filter(isShown)
    .filter((image) => !command.args[0] || split(image.name)[0].startsWith(command.args[0]));
  const shorten = (id: string) => (flags.trunc ? id.slice(7, 19) : id);
  if (flags.quiet) {
    for (const id of new Set(images.map(idOf))) stdout.write(`${shorten(id)}\n`);
    return 0;
  }
  const { printRows } = await import('../template/rows.ts');
  const rows = await Promise.all(images.map((image) => rowOf(engine, image, shorten)));
  const shown = ['Repository', 'Tag', 'Digest', 'ID', 'CreatedSince', 'Size'].filter(
    (name) => name !== 'Digest' || flags.digests,
  );
  printRows(rows, COLUMNS, shown, flags.format);
  return 0;
}

async function rowOf(
  engine: Engine,
  image: StoredImage,
  shorten: (id: string) => string,
): Promise<Row> {
  const [repository, tag] = split(image.name);
  return {
    Repository: repository,
    Tag: tag,
    Digest: image.target.digest,
    ID: shorten(idOf(image)),
    CreatedSince: ago(image.created),
    CreatedAt: new Date(image.created).toISOString(),
    ...sizeFields(await sizesOf(engine, image)),
    Labels: Object.entries(labelsOf(engine.content, image))
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
  };
}

function idOf({ configs, target }: StoredImage): string {
  return configs[0] ?? target.digest;
}

function split(name: string): [string, string] {
  if (isUntagged(name)) return ['<none>', '<none>'];
  const { domain, path, tag } = parseReference(name);
  return [familiarName({ domain, path }), tag ?? '<none>'];
}

/** Of an image whose documents cannot be read nothing is known. */
async function sizesOf(engine: Engine, image: StoredImage): Promise<Sizes> {
  try {
    return totalSizes(await sizesOfLayers(engine, readImage(engine.content, image.target)));
  } catch {
    return { unpacked: undefined, compressed: undefined };
  }
}
