import { type Command, newGroup } from '../arguments.ts';
import { dockerGroupHelp } from '../docker-commands.ts';
import { stdout } from '../output.ts';

/** Declares only `image prune`. `dockerGroupHelp` lists the other subcommands. */
export async function declareCommand(): Promise<Command> {
  const prune = (await import('./image-prune.ts')).declareCommand();
  return newGroup(
    'image',
    "Remove images without a name; docker's other image subcommands are accepted, too",
    [prune],
  );
}

/**
 * `kiln image prune`. `main` translates docker's other subcommands of this group before it comes
 * here (docker-commands.ts).
 */
export async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === 'prune') return await (await import('./image-prune.ts')).run(rest);
  stdout.write(dockerGroupHelp('image'));
  return 0;
}
