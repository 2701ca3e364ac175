import { findImage, fullName } from '../../images/find-image.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';

export function declareCommand(): Command {
  return newCommand('tag', 'Give an image another name')
    .argument('<source>', 'a name in the local store, or an image ID')
    .argument('<target>', 'the new name');
}

/** `kiln tag SOURCE TARGET` */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const [source = '', target = ''] = command.args;
  await using engine = openLocalEngine();
  engine.images.put({
    ...findImage(engine.images, source),
    name: fullName(target),
    origin: undefined,
  });
  return 0;
}
