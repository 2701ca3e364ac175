import { KilnError } from '../../base/errors.ts';
import { stdout } from '../output.ts';

/** `kiln imagetools inspect|create`: images in registries, looked at and put together where they are. */
export async function run(argv: readonly string[]): Promise<number> {
  const [sub, ...rest] = argv;
  if (sub === 'inspect') return await (await import('./imagetools-inspect.ts')).run(rest);
  if (sub === 'create') return await (await import('./imagetools-create.ts')).run(rest);
  if (sub === '--help' || sub === '-h') {
    stdout.write(
      'Usage: kiln imagetools COMMAND\n\nCommands:\n  inspect  Show an image in a registry\n  create   Make an image of images that are in registries\n',
    );
    return 0;
  }
  throw new KilnError(
    'KILN_USAGE',
    sub === undefined ? 'an imagetools command is required' : `unknown imagetools command: ${sub}`,
    {
      hint: "'kiln imagetools inspect NAME' shows an image, 'kiln imagetools create -t NAME SOURCE…' makes one of several",
      exitCode: 2,
    },
  );
}
