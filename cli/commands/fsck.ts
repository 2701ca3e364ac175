import { fsck, repair } from '../../cache/fsck/fsck.ts';
import { pooledJobs } from '../../snapshotter/overlay/pooled-jobs.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';

export function declareCommand(): Command {
  return newCommand('fsck', 'Check the whole store for damage').option(
    '--repair',
    'remove damaged items; their steps run again, their images are pulled again',
  );
}

/**
 * `kiln fsck [--repair]`: reads and verifies the whole store. Returns 0 when the store is sound or
 * has been repaired, else 1.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{ repair?: boolean }>();
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const world = { ...engine, jobs: pooledJobs(engine.pool), searchPath: process.env['PATH'] };
  const { report, left } = flags.repair
    ? await repair(world, cancel.signal)
    : { report: await fsck(world, cancel.signal), left: [] };
  for (const problem of report.problems) {
    const { what, repair: repaired } = problem;
    const outcome = !flags.repair
      ? ''
      : left.includes(problem)
        ? ' (in use by a process: run this command again later)'
        : ` (${repaired})`;
    stdout.write(`${what}${outcome}\n`);
  }
  const counts = [...report.verified].map(([kind, count]) => `${count} ${kind}`).join(', ');
  const removed = flags.repair ? ', which were removed' : " ('--repair' removes them)";
  const unproven =
    report.unproven.length > 0
      ? `; ${report.unproven.length} layers that cannot be verified${removed}`
      : '';
  stdout.write(`verified: ${counts}${unproven}\n`);
  stdout.write(
    report.problems.length === 0
      ? 'the store is sound\n'
      : `problems found: ${report.problems.length}\n`,
  );
  return report.problems.length === 0 || (flags.repair && left.length === 0) ? 0 : 1;
}
