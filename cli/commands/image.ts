import { type Command, newGroup } from '../arguments.ts';
import { dockerGroupHelp } from '../docker-commands.ts';
import { stdout } from '../output.ts';

/** What is Kiln's own in the group; the other names are those of `dockerGroupHelp`. */
export async function declareCommand(): Promise<Command> {
  const prune = (await import('./image-prune.ts')).declareCommand();
  return newGroup(
    'image',
    "Removes images without a name; its other commands are docker's names for commands of Kiln",
    [prune],
  );
}

/**
 * `kiln image prune`, for images without a name; what docker has besides in this group, the command
 * line knows by its own name.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === 'prune') return await (await import('./image-prune.ts')).run(rest);
  stdout.write(dockerGroupHelp('image'));
  return 0;
}
