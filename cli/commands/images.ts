import { KilnError } from '../../base/errors.ts';
import { familiarName, parseReference } from '../../base/reference.ts';
import { bytes } from '../../base/units.ts';
import type { Engine } from '../../builder/engine.ts';
import { isUntagged } from '../../images/find-image.ts';
import { readImage } from '../../images/read.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import { type Command, collect, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { ago, table } from '../table.ts';

export function declareCommand(): Command {
  return newCommand('images', 'List the images in the local store')
    .argument('[name]', 'show only images whose name starts with this')
    .option('-a, --all', 'show all images (default hides images without a name)')
    .option('-q, --quiet', 'only show image IDs')
    .option(
      '-f, --filter <filter>',
      'dangling=true: only images without a name; dangling=false: only images with a name',
      collect,
    )
    .option('--no-trunc', "don't truncate output");
}

/**
 * `kiln images`: lists images, newest first, with docker's columns. An image with several names has
 * a line for each. Images without a name are hidden by default, because each build without `-t`
 * makes one.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{
    all?: boolean;
    quiet?: boolean;
    filter?: string[];
    trunc: boolean;
  }>();
  const isShown = shownBy(flags.all === true, flags.filter ?? []);
  await using engine = openLocalEngine();
  const images = [...engine.images.list()]
    .sort((a, b) => b.created - a.created)
    .filter(isShown)
    .filter((image) => !command.args[0] || split(image.name)[0].startsWith(command.args[0]));
  const shorten = (id: string) => (flags.trunc ? id.slice(7, 19) : id);
  if (flags.quiet) {
    for (const id of new Set(images.map((image) => image.configs[0] ?? image.target.digest)))
      stdout.write(`${shorten(id)}\n`);
    return 0;
  }
  const rows = images.map((image) => [
    ...split(image.name),
    shorten(image.configs[0] ?? image.target.digest),
    ago(image.created),
    size(engine, image),
  ]);
  stdout.write(table([['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE'], ...rows]));
  return 0;
}

function shownBy(all: boolean, filters: readonly string[]): (image: StoredImage) => boolean {
  const values = filters.map((filter) => {
    const match = /^dangling=(true|1|false|0)$/.exec(filter);
    if (match) return /true|1/.test(match[1] ?? '');
    throw new KilnError(
      'KILN_FILTER_INVALID',
      `${JSON.stringify(filter)} is not a filter for images`,
      {
        hint: 'write dangling=true or dangling=false',
        exitCode: 2,
      },
    );
  });
  if (values.length === 0) return (image) => all || !isUntagged(image.name);
  return (image) => values.every((dangling) => isUntagged(image.name) === dangling);
}

function split(name: string): [string, string] {
  if (isUntagged(name)) return ['<none>', '<none>'];
  const { domain, path, tag } = parseReference(name);
  return [familiarName({ domain, path }), tag ?? '<none>'];
}

/**
 * Returns the total size of the layers as the manifest lists them. Layers that were built here are
 * listed uncompressed.
 */
function size(engine: Engine, image: StoredImage): string {
  try {
    return bytes(
      readImage(engine.content, image.target).manifest.layers.reduce(
        (sum, layer) => sum + layer.size,
        0,
      ),
    );
  } catch {
    return 'unknown';
  }
}
