import { findImage } from '../../images/find-image.ts';
import { readImage } from '../../images/read.ts';
import { sizesOfLayers } from '../../images/sizes.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { sizeFields } from '../size-text.ts';
import { ago } from '../table.ts';

/** How many characters of an instruction are shown. */
const SHOWN = 60;

export function declareCommand(): Command {
  return newCommand('history', 'Show the history of an image')
    .argument('<image>', 'a name in the local store, or an image ID')
    .option('--format <format>', "format the output: 'table', 'json' or a Go template")
    .option('--no-trunc', "don't truncate output");
}

const COLUMNS = {
  CreatedSince: 'CREATED',
  CreatedAt: 'CREATED AT',
  CreatedBy: 'CREATED BY',
  Size: 'SIZE',
  CompressedSize: 'COMPRESSED SIZE',
  SizeBytes: 'SIZE',
  CompressedSizeBytes: 'COMPRESSED SIZE',
  Comment: 'COMMENT',
};

/** `kiln history IMAGE`: lists the instructions of an image and the sizes of their layers. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { trunc, format } = command.opts<{ trunc: boolean; format?: string }>();
  await using engine = openLocalEngine();
  const image = readImage(engine.content, findImage(engine.images, command.args[0] ?? '').target);
  const layers = (await sizesOfLayers(engine, image))[Symbol.iterator]();
  const rows = (image.config.history ?? []).map((entry) => {
    const own = entry.empty_layer ? undefined : layers.next().value;
    const text = (entry.created_by ?? '').replace(/\s+/g, ' ');
    return {
      CreatedSince: entry.created ? ago(Date.parse(entry.created)) : 'N/A',
      CreatedAt: entry.created ?? 'N/A',
      CreatedBy: trunc && text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text,
      ...sizeFields(own ?? { unpacked: 0, compressed: 0 }),
      Comment: entry.comment ?? '',
    };
  });
  const { printRows } = await import('../template/rows.ts');
  const shown = ['CreatedSince', 'CreatedBy', 'Size', 'Comment'];
  printRows(rows.reverse(), COLUMNS, shown, format);
  return 0;
}
