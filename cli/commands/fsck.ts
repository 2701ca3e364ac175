import { fsck, repair } from '../../cache/fsck/fsck.ts';
import { pooledJobs } from '../../snapshotter/overlay/pooled-jobs.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';

export function declareCommand(): Command {
  return newCommand('fsck', 'Verify the whole store').option(
    '--repair',
    'remove what is damaged: its steps run again, its images are pulled again',
  );
}

/**
 * `kiln fsck [--repair]`: reads the whole store. Exit code 0 when all is well, or is again; 1 when
 * something is wrong.
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
    const { what, repair: mended } = problem;
    const outcome = !flags.repair
      ? ''
      : left.includes(problem)
        ? ' (a process uses it: run this again later)'
        : ` (${mended})`;
    stdout.write(`${what}${outcome}\n`);
  }
  const counts = [...report.verified].map(([kind, count]) => `${count} ${kind}`).join(', ');
  const removed = flags.repair ? ', which were removed' : " ('--repair' removes them)";
  const unproven =
    report.unproven.length > 0
      ? `; ${report.unproven.length} layers that nothing can prove${removed}`
      : '';
  stdout.write(`verified: ${counts}${unproven}\n`);
  stdout.write(
    report.problems.length === 0 ? 'the store is sound\n' : `${report.problems.length} wrong\n`,
  );
  return report.problems.length === 0 || (flags.repair && left.length === 0) ? 0 : 1;
}
