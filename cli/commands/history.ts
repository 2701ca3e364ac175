import { type Command, groupUsage, newGroup } from '../arguments.ts';
import { declareInspect, inspect } from '../history/inspect.ts';
import { declareList, showBuilds } from '../history/list.ts';
import { declareBuildLogs, logs } from '../history/logs.ts';
import { declareRemove, removeBuilds } from '../history/remove.ts';
import { stdout } from '../output.ts';

const SUBCOMMANDS = { ls: showBuilds, inspect, logs, rm: removeBuilds } as const;

export function declareCommand(): Command {
  return newGroup(
    'history',
    'Show what is known of builds, or (kiln history IMAGE) the history of an image',
    [declareList(), declareInspect(), declareBuildLogs(), declareRemove()],
  );
}

/**
 * `kiln history ls|inspect|logs|rm`: the records of builds. Any other word is an image, as with
 * docker; `kiln image history` is for an image that is called like a subcommand.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv;
  if (Object.hasOwn(SUBCOMMANDS, name))
    return await SUBCOMMANDS[name as keyof typeof SUBCOMMANDS](rest);
  if (name === '' || name === '--help' || name === '-h' || name === 'help') {
    stdout.write(groupUsage(declareCommand()));
    return 0;
  }
  return await (await import('./image-history.ts')).run(argv);
}
