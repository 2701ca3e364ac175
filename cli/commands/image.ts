import { type Command, newGroup } from '../arguments.ts';
import { COMMANDS, type CommandName } from '../commands.ts';
import { stdout } from '../output.ts';
import { groupHelp, inWordsOfKiln } from '../words-of-docker.ts';

/** What is Kiln's own in the group; the other names are those of `groupHelp`. */
export async function declareCommand(): Promise<Command> {
  const prune = (await import('./image-prune.ts')).declareCommand();
  return newGroup('image', "Removes images without a name; its other commands are docker's names for commands of Kiln", [prune]);
}

/** `kiln image COMMAND`, as docker has it: `prune` for images without a name, and other names for what `kiln` does itself. */
export async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv;
  if (name === 'prune') return await (await import('./image-prune.ts')).run(rest);
  if (name === '--help' || name === '-h') {
    stdout.write(groupHelp('image'));
    return 0;
  }
  const [command = '', ...words] = inWordsOfKiln(['image', ...argv]);
  return await (await COMMANDS[command as CommandName].load()).run(words);
}
