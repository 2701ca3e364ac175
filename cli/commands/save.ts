import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { isStandardOutput } from '../../exporter/output-spec.ts';
import { saveImages } from '../../exporter/save.ts';
import { findImage } from '../../images/find-image.ts';
import { imageForPlatform } from '../../images/for-platform.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { archiveDestination } from '../binary-output.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stderr, stdout } from '../output.ts';
import { platformFlag } from '../platform-flag.ts';
import { withTransferProgress } from '../transfer-progress.ts';

export function declareCommand(): Command {
  return newCommand('save', 'Save images to an archive')
    .argument('<image...>', 'names in the local store, or image IDs')
    .option('-o, --output <file>', 'write to a file, instead of standard output')
    .option('--platform <platform>', 'write only this platform of the images');
}

/**
 * `kiln save [-o FILE] IMAGE…`: writes an archive that `kiln load`, `docker load` and skopeo read.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { output, platform: text } = command.opts<{ output?: string; platform?: string }>();
  const platform = platformFlag(text, {});
  if (output === undefined && stdout.isTTY)
    throw new KilnError('KILN_USAGE', 'cowardly refusing to save to a terminal', {
      hint: 'give a file with -o, or redirect standard output',
      exitCode: 2,
    });
  using cancel = cancelOnSignals();
  const path = output === undefined || isStandardOutput(output) ? '-' : resolve(output);
  const destination = archiveDestination(path, '--output', cancel.signal);
  await using engine = openLocalEngine();
  const images = command.args.map((name) =>
    imageForPlatform(engine.content, findImage(engine.images, name), platform),
  );
  // Without a terminal the command says nothing, as docker's does.
  const quiet = stderr.isTTY !== true;
  await withTransferProgress('Saving', `saving ${command.args.join(', ')}`, { quiet }, (report) =>
    saveImages(engine, images, destination, {
      signal: cancel.signal,
      progress: (current, total) => report({ id: '', name: 'writing the archive', current, total }),
      packing(layer, current, total) {
        report({ id: layer, name: `packing ${layer}`, current, total });
      },
    }),
  );
  return 0;
}
