import { findImage, fullName } from '../../images/find-image.ts';
import { pushStored } from '../../images/push-stored.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { registryOptions } from '../registry-options.ts';
import { withTransferProgress } from '../transfer-progress.ts';

export function declareCommand(): Command {
  return newCommand('push', 'Upload an image to a registry')
    .argument('<image>', 'a name in the local store, or an image ID')
    .argument('[name]', 'the name in the registry (default: the name in the local store)')
    .option('-q, --quiet', 'suppress the progress output');
}

/** `kiln push IMAGE [NAME]`: uploads an image, under its name in the local store or another. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { quiet } = command.opts<{ quiet?: boolean }>();
  const [source = '', name = source] = command.args;
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const image = findImage(engine.images, source);
  const target = fullName(name);
  const registry = await registryOptions(process.env);
  const digest = await withTransferProgress('Pushing', `pushing ${target}`, { quiet }, (report) =>
    pushStored(engine, image, target, { registry, signal: cancel.signal, report }),
  );
  stdout.write(`${target}@${digest}\n`);
  return 0;
}
