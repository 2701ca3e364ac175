import { type Command, newGroup } from '../arguments.ts';
import { dockerGroupHelp } from '../docker-commands.ts';
import { stdout } from '../output.ts';

/** Declares what is implemented here. `dockerGroupHelp` lists the other subcommands. */
export async function declareCommand(): Promise<Command> {
  const prune = (await import('./image-prune.ts')).declareCommand();
  const history = (await import('./image-history.ts')).declareCommand();
  return newGroup(
    'image',
    "Remove images without a name; docker's other image subcommands are accepted, too",
    [prune, history],
  );
}

/**
 * `kiln image prune` and `kiln image history`. `main` translates docker's other subcommands of
 * this group before it comes here (docker-commands.ts).
 */
export async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === 'prune') return await (await import('./image-prune.ts')).run(rest);
  if (name === 'history') return await (await import('./image-history.ts')).run(rest);
  stdout.write(dockerGroupHelp('image'));
  return 0;
}
