import { KilnError } from '../../base/errors.ts';
import { removeLog } from '../../builder/history/build-log.ts';
import { findBuild, listBuilds } from '../../history/list-builds.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';

export function declareRemove(): Command {
  return newCommand('history rm', 'Remove records of builds')
    .argument('[builds...]', 'IDs of builds, or the beginning of IDs')
    .option('--all', 'remove the records of all builds that have ended');
}

/** `kiln history rm`: a record that is damaged can be removed, one of a build that runs cannot. */
export async function removeBuilds(argv: readonly string[]): Promise<number> {
  const command = declareRemove();
  if (!parseArguments(command, argv)) return 0;
  const { all } = command.opts<{ all?: boolean }>();
  if ((command.args.length === 0) === (all !== true))
    throw new KilnError('KILN_USAGE', 'the command needs either IDs of builds or --all', {
      hint: "'kiln history ls' lists the builds",
      exitCode: 2,
    });
  await using engine = openLocalEngine();
  const builds = listBuilds(engine.store.logs);
  const chosen = all
    ? builds.filter(({ state }) => state !== 'running')
    : command.args.map((name) => findBuild(builds, name));
  const running = chosen.find(({ state }) => state === 'running');
  if (running)
    throw new KilnError('KILN_USAGE', `the build ${running.ref} is running`, {
      hint: 'remove its record when it has ended',
    });
  for (const { id } of chosen) removeLog(engine.store.logs, id);
  return 0;
}
