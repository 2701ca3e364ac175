import { KilnError } from '../../base/errors.ts';
import { type Command, groupUsage, newGroup } from '../arguments.ts';
import { stdout } from '../output.ts';

export async function declareCommand(): Promise<Command> {
  const modules = await Promise.all([
    import('./imagetools-inspect.ts'),
    import('./imagetools-create.ts'),
  ]);
  const commands = modules.map((module) => module.declareCommand());
  return newGroup(
    'imagetools',
    'Inspect images in registries, and combine several into one',
    commands,
  );
}

/** `kiln imagetools inspect|create`: works on images in registries, without pulling them. */
export async function run(argv: readonly string[]): Promise<number> {
  const [sub, ...rest] = argv;
  if (sub === 'inspect') return await (await import('./imagetools-inspect.ts')).run(rest);
  if (sub === 'create') return await (await import('./imagetools-create.ts')).run(rest);
  if (sub === '--help' || sub === '-h') {
    stdout.write(groupUsage(await declareCommand()));
    return 0;
  }
  throw new KilnError(
    'KILN_USAGE',
    sub === undefined ? 'an imagetools command is required' : `unknown imagetools command: ${sub}`,
    {
      hint:
        "'kiln imagetools inspect NAME' shows an image, 'kiln imagetools create -t NAME " +
        "SOURCE…' combines several",
      exitCode: 2,
    },
  );
}
