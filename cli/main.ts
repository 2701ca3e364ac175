import { KilnError } from '../base/errors.ts';
import { builderIn } from './builder-address.ts';
import { COMMANDS, type CommandEntry, DOCKER_GROUPS, PROGRAMS } from './commands.ts';
import { setBundleId } from './memo/bundle-id.ts';
import { beginOutcome } from './outcome.ts';
import { stdout } from './output.ts';
import { VERSION } from './version.ts';

/**
 * Commands that an ordinary user runs without a user namespace. They do not open the store, and a
 * credential helper has to run as the real user.
 */
const NEEDS_NO_STORE: ReadonlySet<string> = new Set([
  'buildctl',
  'buildx',
  'completion',
  'doctor',
  'imagetools',
  'login',
  'logout',
]);

/**
 * Runs one command line. `argv` starts with the command: it has neither `node` nor the script.
 * `bundle` is the digest of the code. Prints errors and sets the exit code. Throws nothing.
 */
export async function main(argv: readonly string[], bundle?: string): Promise<void> {
  setBundleId(bundle);
  // Kiln states the whole mode of each file that goes into an image. A stricter umask of the user's
  // shell must not change it.
  process.umask(0o022);
  const outcome = beginOutcome();
  try {
    await outcome.returned(await dispatch(argv));
  } catch (error) {
    await outcome.threw(error);
  }
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined || HELP.has(first)) return await help(rest, first === undefined);
  if (first === '--version' || first === '-v' || first === 'version')
    return await version(first, rest);
  if (first.startsWith('-'))
    throw new KilnError('KILN_UNKNOWN_COMMAND', `${first} is given without a command`, {
      hint: `write flags after the command: 'kiln COMMAND ${first}'`,
      exitCode: 2,
    });
  const entry = entryOf(first);
  if (!entry) {
    const { isGroupHelp, dockerGroupHelp, translateDockerCommand } = await import(
      './docker-commands.ts'
    );
    if (!isGroupHelp(argv))
      return await dispatch(translateDockerCommand(argv, Object.keys(COMMANDS)));
    stdout.write(dockerGroupHelp(first));
    return 0;
  }
  const words = subcommandHelp(first, rest);
  const onlyHelp = words.length > 0 && words.every((word) => NEEDS_NOTHING.has(word));
  const { subcommands, load } = entry;
  if (subcommands && !onlyHelp && !subcommands.includes(words[0] ?? ''))
    return await dispatch(
      (await import('./docker-commands.ts')).translateDockerCommand([first, ...words], []),
    );
  const isElsewhere = first === 'build' && builderIn(words, process.env) !== undefined;
  if (process.getuid?.() !== 0 && !NEEDS_NO_STORE.has(first) && !onlyHelp && !isElsewhere)
    (await import('./rootless.ts')).enterUserNamespace();
  return await (await load()).run(words);
}

/** A command whose words are all of these opens no store. */
const NEEDS_NOTHING: ReadonlySet<string> = new Set(['--help', '-h', '--version']);

function entryOf(name: string): CommandEntry | undefined {
  const all: Readonly<Record<string, CommandEntry>> = {
    ...COMMANDS,
    ...PROGRAMS,
    ...DOCKER_GROUPS,
  };
  return Object.hasOwn(all, name) ? all[name] : undefined;
}

const HELP: ReadonlySet<string> = new Set(['help', '--help', '-h']);

/** `kiln help COMMAND` is `kiln COMMAND --help`. */
async function help(words: readonly string[], noCommand: boolean): Promise<number> {
  const about = words.filter((word) => !HELP.has(word));
  if (about.length > 0 && about[0] !== 'version') return await dispatch([...about, '--help']);
  stdout.write(overview());
  return noCommand ? 1 : 0;
}

async function version(first: string, rest: readonly string[]): Promise<number> {
  if (first === 'version' && rest.some((word) => /^(?:-f|--format)/.test(word)))
    return await (await import('./version-format.ts')).formattedVersion(rest);
  const stray = rest.find((word) => !HELP.has(word));
  if (stray !== undefined)
    throw new KilnError(
      'KILN_USAGE',
      `kiln ${first} takes no arguments, but got ${JSON.stringify(stray)}`,
      {
        hint: `'kiln ${first}' prints the version`,
        exitCode: 2,
      },
    );
  stdout.write(
    rest.length > 0
      ? 'Usage: kiln version [--format FORMAT]\n\nPrint the version of Kiln\n'
      : `kiln version ${VERSION}\n`,
  );
  return 0;
}

/** `kiln cache help ls` is `kiln cache ls --help`. */
function subcommandHelp(first: string, rest: readonly string[]): readonly string[] {
  if (!HAS_SUBCOMMANDS.has(first) || rest[0] === undefined || !HELP.has(rest[0])) return rest;
  return rest[1] === undefined ? ['--help'] : [...rest.slice(1), '--help'];
}

const HAS_SUBCOMMANDS: ReadonlySet<string> = new Set([
  'buildx',
  'cache',
  'debug',
  'history',
  'image',
  'imagetools',
  'system',
]);

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(
    ([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`,
  );
  return (
    'Usage: kiln COMMAND [OPTIONS]\n\n' +
    'Builds container images from Dockerfiles, without a daemon.\n\n' +
    'Commands:\n' +
    `${lines.join('\n')}\n\n` +
    "Run 'kiln COMMAND --help' for more information on a command.\n"
  );
}
