import { type Command, groupUsage, newGroup } from '../arguments.ts';
import { declareInspect, inspect } from '../history/inspect.ts';
import { declareList, showBuilds } from '../history/list.ts';
import { declareBuildLogs, logs } from '../history/logs.ts';
import { declareOpen, openBuild } from '../history/open.ts';
import { declareRemove, removeBuilds } from '../history/remove.ts';
import { stdout } from '../output.ts';

const SUBCOMMANDS: Readonly<Record<string, (argv: readonly string[]) => Promise<number>>> = {
  ls: showBuilds,
  inspect,
  logs,
  open: openBuild,
  rm: removeBuilds,
  export: async (argv) => await (await import('../history/export-builds.ts')).exportBuilds(argv),
  import: async (argv) => await (await import('../history/import-builds.ts')).importBuilds(argv),
  trace: async (argv) => await (await import('../history/trace.ts')).trace(argv),
};

export async function declareCommand(): Promise<Command> {
  const { declareBuildExport } = await import('../history/export-builds.ts');
  const { declareBuildImport } = await import('../history/import-builds.ts');
  const { declareTrace } = await import('../history/trace.ts');
  return newGroup(
    'history',
    'Show what is known of builds, or (kiln history IMAGE) the history of an image',
    [
      declareList(),
      declareInspect(),
      declareBuildLogs(),
      declareOpen(),
      declareRemove(),
      declareBuildExport(),
      declareBuildImport(),
      declareTrace(),
    ],
  );
}

/**
 * The subcommands are about records of builds. Any other word is an image, as with docker; `kiln
 * image history` is for an image that is called like a subcommand.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv;
  const subcommand = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
  if (subcommand) return await subcommand(rest);
  if (name === '' || name === '--help' || name === '-h' || name === 'help') {
    stdout.write(groupUsage(await declareCommand()));
    return 0;
  }
  return await (await import('./image-history.ts')).run(argv);
}
