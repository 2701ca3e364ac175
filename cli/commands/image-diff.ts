import { compareImages } from '../../images/contents/compare-images.ts';
import { type Command, newCommand, Option, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { comparisonReport } from '../explore/comparison-report.ts';
import { openImage } from '../explore/open-image.ts';
import { flagError } from '../flag-error.ts';
import { requireWholeOutput, stderr, stdout } from '../output.ts';
import { platformFlag } from '../platform-flag.ts';
import { withTransferProgress } from '../transfer-progress.ts';

/** How many files are listed as text, and in a document. */
const SHOWN = 50;
const LISTED = 1000;

export function declareCommand(): Command {
  return newCommand('image diff', 'Show what is different between two images')
    .argument('<from>', 'the older image: a name or ID in the local store, or oci:DIR')
    .argument('<to>', 'the newer image')
    .option('--platform <platform>', 'the platform of both images, such as linux/arm64')
    .option('--limit <count>', `how many files and packages to list (default: ${SHOWN})`)
    .addOption(
      new Option('--format <format>', 'json: print one document').choices(['report', 'json']),
    );
}

interface Flags {
  readonly platform?: string;
  readonly limit?: string;
  readonly format?: 'report' | 'json';
}

/** `kiln image diff FROM TO`: files, packages, layers and configs that are different. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { platform: wanted, limit, format } = command.opts<Flags>();
  const platform = platformFlag(wanted, process.env);
  const count = limit === undefined ? (format === 'json' ? LISTED : SHOWN) : Number(limit);
  if (!Number.isSafeInteger(count) || count < 0)
    throw flagError('--limit', `${JSON.stringify(limit)} is not a number of files`);
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  using _use = engine.begin();
  const { signal } = cancel;
  const [from = '', to = ''] = command.args;
  const comparison = await withTransferProgress(
    'Reading',
    `${from} and ${to}`,
    { quiet: !stderr.isTTY },
    async (report) => {
      const older = await openImage(engine, from, { platform, signal, report });
      const newer = await openImage(engine, to, { platform, signal, report });
      return await compareImages(older, newer, { limit: count, signal });
    },
  );
  if (format === 'json') stdout.write(`${JSON.stringify(comparison, null, 2)}\n`);
  else stdout.write(comparisonReport(comparison));
  requireWholeOutput();
  return 0;
}
