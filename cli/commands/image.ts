import { COMMANDS, type CommandName } from '../commands.ts';
import { inWordsOfKiln } from '../words-of-docker.ts';

/** `kiln image COMMAND`, as docker has it: `prune` for images without a name, and docker's names for what `kiln` does itself. */
export async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === 'prune') return await (await import('./image-prune.ts')).run(rest);
  const [command, ...words] = inWordsOfKiln(['image', ...argv]);
  return await (await COMMANDS[command as CommandName].load()).run(words);
}
