import { KilnError } from '../../base/errors.ts';
import { bytes } from '../../base/units.ts';
import { identifyImage, isUntagged, shownName } from '../../images/find-image.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { printError } from '../report.ts';

export function declareCommand(): Command {
  return newCommand('rmi', 'Remove images by name, and the data that only they used')
    .argument('<image...>', 'names in the local store, or image IDs')
    .option('-f, --force', 'do not fail when an image does not exist');
}

/**
 * `kiln rmi IMAGE…`: removes names of images. An image ID removes all names of the image. Data that
 * no name refers to any more is removed, too.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { force } = command.opts<{ force?: boolean }>();
  await using engine = openLocalEngine();
  let code = 0;
  let untagged = 0;
  const nameless = new Set<string>();
  for (const text of command.args) {
    try {
      const { image, by } = identifyImage(engine.images, text);
      const names =
        by === 'id'
          ? engine.images
              .list()
              .filter((other) => other.target.digest === image.target.digest)
              .map((other) => other.name)
          : [image.name];
      for (const name of names) {
        // An image without a name is removed as a whole, below.
        if (isUntagged(name)) nameless.add(name);
        else engine.images.remove(name);
        untagged++;
        stdout.write(`Untagged: ${shownName(name)}\n`);
      }
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      if (force && error.code === 'KILN_IMAGE_NOT_FOUND') continue;
      await printError(error);
      code = 1;
    }
  }
  if (untagged === 0) return code;
  const { freeUnused } = await import('../../images/free-unused.ts');
  using cancel = cancelOnSignals();
  const freed = await freeUnused(engine, nameless, cancel.signal);
  if (freed > 0) stdout.write(`Freed: ${bytes(freed)}\n`);
  return code;
}
