import type { Engine } from '../../builder/engine.ts';
import { isStandardOutput } from '../../exporter/output-spec.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { copyImage, describePlace } from '../image/copy.ts';
import { parsePlace } from '../image/image-place.ts';
import { stdout } from '../output.ts';
import { withTransferProgress } from '../transfer-progress.ts';

export function declareCommand(): Command {
  return newCommand('copy', 'Copy an image with all its platforms')
    .argument(
      '<source>',
      'where the image is: NAME in a registry, store:NAME, oci:DIRECTORY[:TAG], ' +
        'oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]',
    )
    .argument(
      '<destination>',
      'where to copy it, in the same form; an archive may go to - (standard output)',
    )
    .option('-q, --quiet', 'suppress the progress output');
}

/**
 * `kiln copy SOURCE DESTINATION`: copies an image with all its platforms between registries,
 * archives, OCI layouts and the store. Its digest stays the same. An archive may go to standard
 * output, which then has nothing else.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { quiet } = command.opts<{ quiet?: boolean }>();
  const [from, to] = [parsePlace(command.args[0] ?? ''), parsePlace(command.args[1] ?? '')];
  await using scope = new AsyncDisposableStack();
  let opened: Engine | undefined;
  const engine = () => (opened ??= scope.use(openLocalEngine()));
  using cancel = cancelOnSignals();
  const name = `copying ${describePlace(from)} to ${describePlace(to)}`;
  const isStream = 'path' in to && to.kind !== 'oci' && isStandardOutput(to.path);
  const digest = await withTransferProgress('Copying', name, { quiet }, (report) =>
    copyImage(from, to, { engine, signal: cancel.signal, report }),
  );
  if (!isStream) stdout.write(`${digest}\n`);
  return 0;
}
