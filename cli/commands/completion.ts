import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { attempt, reading } from '../../base/oserror.ts';
import { Argument, type Command, newCommand, parseArguments } from '../arguments.ts';
import { stdout } from '../output.ts';

/** The file in `completions/` for each shell. scripts/reference.ts generates them. */
export const COMPLETIONS = { bash: 'kiln.bash', zsh: '_kiln', fish: 'kiln.fish' } as const;

export function declareCommand(): Command {
  return newCommand('completion', 'Print the completion script for a shell')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(Object.keys(COMPLETIONS)))
    .addHelpText(
      'after',
      '\nTo use it in the current shell, run source <(kiln completion bash)\n' +
        'or kiln completion fish | source.',
    );
}

/**
 * `kiln completion bash|zsh|fish`: prints the completion script. It is a file of the package and
 * not generated here, because shells run this command each time they start.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const shell = command.processedArgs[0] as keyof typeof COMPLETIONS;
  const path = fileURLToPath(new URL(COMPLETIONS[shell], completions()));
  stdout.write(attempt(reading('the completion script', path), () => readFileSync(path)));
  return 0;
}

/**
 * Returns the directory `completions/`, found from the bundle in `dist/` or from this source file.
 */
function completions(): URL {
  return new URL(
    import.meta.url.endsWith('.ts') ? '../../completions/' : '../completions/',
    import.meta.url,
  );
}
