import { imageContents } from '../../images/contents/image-contents.ts';
import { type Command, newCommand, Option, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import {
  checkLimits,
  type ImageLimits,
  parseMaxWasted,
  parseMinEfficiency,
  requireLimits,
} from '../explore/image-limits.ts';
import { imageReport } from '../explore/image-report.ts';
import { openImage } from '../explore/open-image.ts';
import { requireWholeOutput, stderr, stdout } from '../output.ts';
import { platformFlag } from '../platform-flag.ts';
import { canMoveCursor } from '../terminal/terminal-size.ts';
import { withTransferProgress } from '../transfer-progress.ts';

export function declareCommand(): Command {
  return newCommand('image explore', 'Look at the layers and files of an image')
    .argument('<image>', 'a name or ID in the local store, or oci:DIR, docker-archive:FILE')
    .option('--platform <platform>', 'the platform of the image, such as linux/arm64')
    .addOption(
      new Option('--format <format>', 'report: print text; json: print one document').choices([
        'report',
        'json',
      ]),
    )
    .option(
      '--max-wasted <limit>',
      'fail when more is wasted: a size such as 10MB, or a share such as 5%',
    )
    .option('--min-efficiency <share>', 'fail when the efficiency is lower, such as 0.95');
}

interface Flags {
  readonly platform?: string;
  readonly format?: 'report' | 'json';
  readonly maxWasted?: string;
  readonly minEfficiency?: string;
}

/**
 * `kiln image explore IMAGE`: draws the layers and files of an image on the terminal. Prints a
 * report where nothing can be drawn, and when a limit or a format is given.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<Flags>();
  const limits = limitsIn(flags);
  const platform = platformFlag(flags.platform, process.env);
  const draws =
    flags.format === undefined &&
    limits === undefined &&
    stdout.isTTY &&
    process.stdin.isTTY === true &&
    canMoveCursor(process.env);
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  using _use = engine.begin();
  const text = command.args[0] ?? '';
  const { signal } = cancel;
  const contents = await withTransferProgress(
    'Reading',
    text,
    { quiet: draws || !stderr.isTTY },
    (report) => openImage(engine, text, { platform, signal, report }),
  );
  if (draws) {
    const { explore } = await import('../explore/explore.ts');
    await explore(contents, signal);
    return 0;
  }
  const image = imageContents(contents);
  const results = checkLimits(image, limits ?? {});
  if (flags.format === 'json')
    stdout.write(`${JSON.stringify({ ...image, limits: results }, null, 2)}\n`);
  else stdout.write(imageReport(image, results));
  requireWholeOutput();
  requireLimits(results);
  return 0;
}

function limitsIn({ maxWasted, minEfficiency }: Flags): ImageLimits | undefined {
  if (maxWasted === undefined && minEfficiency === undefined) return undefined;
  return {
    maxWasted: maxWasted === undefined ? undefined : parseMaxWasted(maxWasted),
    minEfficiency: minEfficiency === undefined ? undefined : parseMinEfficiency(minEfficiency),
  };
}
