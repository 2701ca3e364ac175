import { findBuild, listBuilds } from '../../history/list-builds.ts';
import { followEvents } from '../../history/read-build.ts';
import { type Command, newCommand, parseArguments, suggestValues } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { requireWholeOutput, stdout } from '../output.ts';
import { createView } from '../progress/create-view.ts';
import { PROGRESS_MODES, type ProgressMode } from '../progress/view.ts';
import { progressMode } from '../progress-mode.ts';
import { colorEnabled } from '../terminal/terminal-size.ts';

export function declareBuildLogs(): Command {
  const command = newCommand('history logs', 'Print the log of a build, also while it runs')
    .argument('[build]', 'the ID of a build, or ^N for the one N before the last (default: ^0)')
    .option('--progress <type>', 'how the log is shown: plain, rawjson or tty', 'plain');
  return suggestValues(command, { '--progress': PROGRESS_MODES });
}

/** `kiln history logs` */
export async function logs(argv: readonly string[]): Promise<number> {
  const command = declareBuildLogs();
  if (!parseArguments(command, argv)) return 0;
  const mode: ProgressMode = progressMode(command.opts<{ progress: string }>().progress, {});
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const { id } = findBuild(listBuilds(engine.store.logs), command.args[0]);
  const { env } = process;
  const view = await createView(mode, stdout, {
    activity: 'Building',
    color: colorEnabled(env),
    env,
  });
  await followEvents(engine.store.logs, id, (event) => view.event(event), cancel.signal);
  view.close(cancel.signal.aborted ? 'cancelled' : 'done');
  requireWholeOutput();
  return 0;
}
