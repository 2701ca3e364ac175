import { bytes } from '../../base/units.ts';
import { findImage } from '../../images/find-image.ts';
import { readImage } from '../../images/read.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { ago, table } from '../table.ts';

/** How many characters of an instruction are shown. */
const SHOWN = 60;

export function declareCommand(): Command {
  return newCommand('history', 'Show the history of an image')
    .argument('<image>', 'a name in the local store, or an image ID')
    .option('--no-trunc', "don't truncate output");
}

/** `kiln history IMAGE`: lists the instructions of an image and the sizes of their layers. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { trunc } = command.opts<{ trunc: boolean }>();
  await using engine = openLocalEngine();
  const { manifest, config } = readImage(
    engine.content,
    findImage(engine.images, command.args[0] ?? '').target,
  );
  const layers = manifest.layers[Symbol.iterator]();
  const rows = (config.history ?? []).map((entry) => {
    const size = entry.empty_layer ? 0 : (layers.next().value?.size ?? 0);
    const text = (entry.created_by ?? '').replace(/\s+/g, ' ');
    return [
      entry.created ? ago(Date.parse(entry.created)) : 'N/A',
      trunc && text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text,
      bytes(size),
      entry.comment ?? '',
    ];
  });
  stdout.write(table([['CREATED', 'CREATED BY', 'SIZE', 'COMMENT'], ...rows.reverse()]));
  return 0;
}
