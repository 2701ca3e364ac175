import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { tryFile } from '../../exporter/destination.ts';
import { type Destination, isStandardOutput, STANDARD_OUTPUT } from '../../exporter/output-spec.ts';
import { saveImages } from '../../exporter/save.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { standardOutput } from '../binary-output.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { findImage } from '../image/find-image.ts';
import { closedOutputError, isClosed, stdout } from '../output.ts';

export function declareCommand(): Command {
  return newCommand('save', 'Save images to an archive')
    .argument('<image...>', 'names in the local store, or image IDs')
    .option('-o, --output <file>', 'write to a file, instead of standard output');
}

/**
 * `kiln save [-o FILE] IMAGE…`: writes an archive that `kiln load`, `docker load` and skopeo read.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { output } = command.opts<{ output?: string }>();
  if (output === undefined && stdout.isTTY)
    throw new KilnError('KILN_USAGE', 'cowardly refusing to save to a terminal', {
      hint: 'give a file with -o, or redirect standard output',
      exitCode: 2,
    });
  using cancel = cancelOnSignals();
  const destination = destinationFor(output ?? '-', cancel.signal);
  await using engine = openLocalEngine();
  const images = command.args.map((text) => findImage(engine.images, text));
  await saveImages(engine, images, destination, { signal: cancel.signal });
  return 0;
}

function destinationFor(output: string, signal: AbortSignal): Destination {
  if (!isStandardOutput(output)) {
    const path = resolve(output);
    tryFile({ path, flag: '--output' });
    return { kind: 'file', path };
  }
  if (isClosed(1)) throw closedOutputError();
  const write = standardOutput();
  return { kind: 'stream', write: (bytes) => write(bytes, signal, STANDARD_OUTPUT) };
}
