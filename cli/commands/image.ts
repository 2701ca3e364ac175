import { KilnError } from '../../base/errors.ts';
import { COMMANDS, type CommandName } from '../commands.ts';
import { stdout } from '../output.ts';

/** What docker calls `docker image COMMAND`, by the command that does it here. */
const SAME: Readonly<Record<string, CommandName>> = {
  build: 'build',
  history: 'history',
  inspect: 'inspect',
  list: 'images',
  load: 'load',
  ls: 'images',
  pull: 'pull',
  push: 'push',
  rm: 'rmi',
  save: 'save',
  tag: 'tag',
};

/** `kiln image COMMAND`, as docker has it: `prune` for images without a name, and other names for what `kiln` does itself. */
export async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv;
  if (name === 'prune') return await (await import('./image-prune.ts')).run(rest);
  const same = Object.hasOwn(SAME, name) ? SAME[name] : undefined;
  if (same) return await (await COMMANDS[same].load()).run(rest);
  if (name === '--help' || name === '-h' || name === 'help') {
    const lines = Object.entries(SAME).map(([sub, command]) => `  ${sub.padEnd(9)}the same as 'kiln ${command}'\n`);
    stdout.write(`Usage: kiln image COMMAND\n\nCommands:\n  prune    Remove images without a name\n${lines.join('')}`);
    return 0;
  }
  throw new KilnError('KILN_USAGE', name === '' ? 'an image command is required' : `unknown image command: ${name}`, {
    hint: `kiln image ${['prune', ...Object.keys(SAME)].join('|')}`,
    exitCode: 2,
  });
}
