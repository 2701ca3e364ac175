import { fullName, shownName } from '../../images/find-image.ts';
import { pullImage } from '../../images/pull.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { platformFlag } from '../platform-flag.ts';
import { registryOptions } from '../registry-options.ts';
import { withTransferProgress } from '../transfer-progress.ts';

export function declareCommand(): Command {
  return newCommand('pull', 'Download an image from a registry')
    .argument('<name>', 'the name of the image in its registry')
    .option('--platform <platform>', "set the platform of the image (default: the host's)")
    .option('-q, --quiet', 'suppress the progress output');
}

/** `kiln pull NAME`: downloads an image for one platform into the local store. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{ platform?: string; quiet?: boolean }>();
  const [name = ''] = command.args;
  const full = fullName(name);
  const platform = platformFlag(flags.platform, process.env);
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const registry = await registryOptions(process.env);
  const image = await withTransferProgress('Pulling', `pulling ${full}`, flags, (report) =>
    pullImage(engine, name, {
      platform,
      registry,
      signal: cancel.signal,
      report,
    }),
  );
  stdout.write(`${shownName(image.name)}\n`);
  return 0;
}
