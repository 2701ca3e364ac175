import { findImage } from '../../images/find-image.ts';
import { imageForPlatform } from '../../images/for-platform.ts';
import { readImage } from '../../images/read.ts';
import { sizesOfLayers } from '../../images/sizes.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { booleanValue } from '../flagwords.ts';
import { stdout } from '../output.ts';
import { platformFlag } from '../platform-flag.ts';
import { sizeFields } from '../size-text.ts';
import { ago } from '../table.ts';

/** How many characters of an instruction are shown. */
const SHOWN = 60;

export function declareCommand(): Command {
  return newCommand('image history', 'Show the history of an image')
    .argument('<image>', 'a name in the local store, or an image ID')
    .option('--format <format>', "format the output: 'table', 'json' or a Go template")
    .option('-H, --human [bool]', 'false: print sizes in bytes, and dates')
    .option('--platform <platform>', 'show this platform of the image')
    .option('-q, --quiet', 'only show image IDs')
    .option('--no-trunc', "don't truncate output");
}

const COLUMNS = {
  ID: 'IMAGE',
  CreatedSince: 'CREATED',
  CreatedAt: 'CREATED AT',
  CreatedBy: 'CREATED BY',
  Size: 'SIZE',
  CompressedSize: 'COMPRESSED SIZE',
  SizeBytes: 'SIZE',
  CompressedSizeBytes: 'COMPRESSED SIZE',
  Comment: 'COMMENT',
};

interface Flags {
  readonly trunc: boolean;
  readonly format?: string;
  readonly quiet?: boolean;
  readonly platform?: string;
  readonly human?: string;
}

/** Also `kiln history IMAGE`: lists the instructions of an image and the sizes of its layers. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { trunc, format, quiet, human, platform: text } = command.opts<Flags>();
  const platform = platformFlag(text, {});
  const isHuman = human === undefined || booleanValue(human, '--human');
  await using engine = openLocalEngine();
  const named = findImage(engine.images, command.args[0] ?? '');
  const { target } = imageForPlatform(engine.content, named, platform);
  const image = readImage(engine.content, target);
  const layers = (await sizesOfLayers(engine, image))[Symbol.iterator]();
  const id = image.manifest.config.digest;
  const entries = image.config.history ?? [];
  const rows = entries.map((entry, index) => {
    const own = entry.empty_layer ? undefined : layers.next().value;
    const text = (entry.created_by ?? '').replace(/\s+/g, ' ');
    const sizes = sizeFields(own ?? { unpacked: 0, compressed: 0 });
    return {
      // Only the last entry is an image of its own, as with docker.
      ID: index < entries.length - 1 ? '<missing>' : trunc ? id.slice(7, 19) : id,
      CreatedSince: entry.created ? ago(Date.parse(entry.created)) : 'N/A',
      CreatedAt: entry.created ?? 'N/A',
      CreatedBy: trunc && text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text,
      ...sizes,
      ...(!isHuman && { Size: String(sizes.SizeBytes ?? sizes.Size) }),
      Comment: entry.comment ?? '',
    };
  });
  rows.reverse();
  if (quiet) {
    for (const { ID } of rows) stdout.write(`${ID}\n`);
    return 0;
  }
  const { printRows } = await import('../template/rows.ts');
  const created = isHuman ? 'CreatedSince' : 'CreatedAt';
  printRows(rows, COLUMNS, [created, 'CreatedBy', 'Size', 'Comment'], format);
  return 0;
}
