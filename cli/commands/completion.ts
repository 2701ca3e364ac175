import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { attempt, reading } from '../../base/oserror.ts';
import { Argument, type Command, newCommand, parseArguments } from '../arguments.ts';
import { stdout } from '../output.ts';

/** The shells, and the files of `completions/`, which scripts/reference.ts writes. */
export const COMPLETIONS = { bash: 'kiln.bash', zsh: '_kiln', fish: 'kiln.fish' } as const;

export function declareCommand(): Command {
  return newCommand('completion', 'Print the completion script for a shell')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(Object.keys(COMPLETIONS)))
    .addHelpText(
      'after',
      '\nFor the running shell: source <(kiln completion bash), or kiln completion fish | source',
    );
}

/**
 * `kiln completion bash|zsh|fish`: prints a file that is there already, so that a shell does not
 * start slower for it.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const shell = command.processedArgs[0] as keyof typeof COMPLETIONS;
  const path = fileURLToPath(new URL(COMPLETIONS[shell], completions()));
  stdout.write(attempt(reading('the completion script', path), () => readFileSync(path)));
  return 0;
}

/** Beside `dist/`, where the bundle is, or seen from this source file. */
function completions(): URL {
  return new URL(
    import.meta.url.endsWith('.ts') ? '../../completions/' : '../completions/',
    import.meta.url,
  );
}
