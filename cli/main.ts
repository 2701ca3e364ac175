import { KilnError } from '../base/errors.ts';
import { COMMANDS, type CommandName } from './commands.ts';
import { beginOutcome } from './outcome.ts';
import { stdout } from './output.ts';

declare const KILN_VERSION: string | undefined;

export const VERSION: string = typeof KILN_VERSION === 'string' ? KILN_VERSION : 'dev';

/** What an ordinary user runs as himself: these touch no store, and a helper that keeps logins wants to see who asks. */
const NEEDS_NO_STORE: ReadonlySet<string> = new Set(['doctor', 'imagetools', 'login', 'logout']);

/** Runs one command line (without `node` and the script). Sets the exit code; throws nothing. */
export async function main(argv: readonly string[]): Promise<void> {
  // Modes of what goes into an image are said in full; a stricter umask of the user's shell must not change them.
  process.umask(0o022);
  const outcome = beginOutcome();
  try {
    await outcome.answered(await dispatch(argv));
  } catch (error) {
    await outcome.failed(error);
  }
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv;
  if (first === '--version' || first === '-v' || first === 'version') {
    stdout.write(`kiln version ${VERSION}\n`);
    return 0;
  }
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    stdout.write(overview());
    return first === undefined ? 1 : 0;
  }
  if (!Object.hasOwn(COMMANDS, first)) {
    const { nearest } = await import('../base/suggest.ts');
    const close = nearest(first, Object.keys(COMMANDS));
    throw new KilnError('KILN_UNKNOWN_COMMAND', `unknown command: ${first}`, {
      hint: close ? `did you mean 'kiln ${close}'?` : "'kiln --help' lists the commands",
      exitCode: 2,
    });
  }
  if (process.getuid?.() !== 0 && !NEEDS_NO_STORE.has(first)) (await import('./rootless.ts')).enterUserNamespace();
  const module = await COMMANDS[first as CommandName].load();
  return await module.run(rest);
}

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: kiln COMMAND [OPTIONS]\n\nBuilds container images from Dockerfiles, without a daemon.\n\nCommands:\n${lines.join('\n')}\n\n'kiln COMMAND --help' says more about a command.\n`;
}
