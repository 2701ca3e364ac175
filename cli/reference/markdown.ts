import { CONFIGURATION, type ConfigurationKey } from './configuration.ts';
import type { CommandDescription, FlagDescription } from './describe.ts';
import { ENVIRONMENT } from './environment.ts';
import { peerFlagsPage } from './peer-flags-page.ts';
import { commandName, notesOf, sentence, usageOf, wrap } from './text.ts';

const GENERATED = '<!-- Written by scripts/reference.ts. -->\n';

/** Returns the texts of the pages of docs/reference/, by file name. */
export function referencePages(commands: readonly CommandDescription[]): Map<string, string> {
  return new Map([
    ['README.md', index(commands)],
    ...commands.map((command): [string, string] => [`${command.words[0]}.md`, page(command)]),
    ['environment.md', environment()],
    ['kiln-toml.md', configuration()],
    ['flags.md', GENERATED + peerFlagsPage()],
  ]);
}

function index(commands: readonly CommandDescription[]): string {
  const list = commands.map((command) => {
    return wrap(
      `- [${commandName(command)}](${command.words[0]}.md): ${sentence(command.summary)}`,
      '  ',
    );
  });
  return `${GENERATED}# Reference

${wrap(
  'Every command, flag, environment variable and configuration key. `kiln COMMAND --help` ' +
    'prints a short form, and `man kiln` contains all of it. [Exit codes and error ' +
    'codes](../errors.md) are on another page.',
)}

## Commands

${list.join('\n')}
- \`kiln version\`, \`kiln --version\`: Prints the version.
- \`kiln help COMMAND\`: The same as \`kiln COMMAND --help\`.

${wrap(
  "Docker's names for these commands work, too: `kiln buildx build`, `kiln image ls`, `kiln " +
    'builder prune`.',
)}

## Every command

${wrap(
  'Flags may come before or after arguments. A flag with a value is written `--flag ' +
    'value` or `--flag=value`. A flag without a value can be switched off: `--flag=false`. ' +
    '`--` ends the flags.',
)}

- \`-h\`, \`--help\`: Prints the help of the command.
- \`--root <dir>\`: The directory of the store. It takes precedence over \`KILN_ROOT\`.

## Settings

- [Flags of other builders](flags.md)
- [Environment variables](environment.md)
- [kiln.toml](kiln-toml.md)
`;
}

function page(command: CommandDescription): string {
  return `${GENERATED}${section(command, '#')}\n[All commands](README.md)\n`;
}

function section(command: CommandDescription, level: string): string {
  const parts = [
    `${level} ${commandName(command)}\n\n${wrap(sentence(command.summary))}\n`,
    `\`\`\`text\n${usageOf(command)}\n\`\`\`\n`,
    ...command.commands.map((one) => section(one, `${level}#`)),
    ...argumentsOf(command),
    ...flagsOf(command, level),
  ];
  return parts.join('\n');
}

function argumentsOf({ arguments: all }: CommandDescription): readonly string[] {
  const described = all.filter(({ text }) => text !== '');
  const lines = described.map(
    ({ name, text }) => `${wrap(`- \`${name}\`: ${sentence(text)}`, '  ')}\n`,
  );
  return lines.length > 0 ? [lines.join('')] : [];
}

function flagsOf({ flags }: CommandDescription, level: string): readonly string[] {
  const own = flags.filter(({ long }) => long !== '--root');
  const lists: readonly (readonly [string, readonly FlagDescription[]])[] = [
    ['Flags', own.filter(({ hidden }) => !hidden)],
    ['Flags that `--help` leaves out', own.filter(({ hidden }) => hidden)],
  ];
  return lines(lists, level);
}

function lines(
  lists: readonly (readonly [string, readonly FlagDescription[]])[],
  level: string,
): readonly string[] {
  return lists.flatMap(([title, flags]) =>
    flags.length > 0
      ? [`${level}# ${title}\n\n${flags.map((flag) => `${flagLine(flag)}\n`).join('')}`]
      : [],
  );
}

function flagLine(flag: FlagDescription): string {
  const { short, long, value, text } = flag;
  const name = value === undefined ? long : `${long} <${value}>`;
  const names = short === undefined ? `\`${name}\`` : `\`${short}\`, \`${name}\``;
  return wrap(
    `- ${names}: ${[sentence(markdown(text)), ...notesOf(flag).map(markdown)].join(' ')}`,
    '  ',
  );
}

/** Escapes characters that Markdown would interpret, as in placeholders and templates. */
function markdown(text: string): string {
  return text.replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll('{{', '\\{\\{');
}

function environment(): string {
  const groups = ENVIRONMENT.map(({ title, variables }) => {
    const entries = variables.map(({ names, text }) => {
      return `${wrap(`- ${names.map((name) => `\`${name}\``).join(', ')}: ${text}`, '  ')}\n`;
    });
    return `## ${title}\n\n${entries.join('')}`;
  });
  return `${GENERATED}# Environment variables

${wrap(
  'Kiln reads these variables, and those that a flag names (`--build-arg NAME`, `--secret ' +
    'id=NAME,env=NAME`). Steps do not see the environment. Use these flags to give them values.',
)}

${groups.join('\n')}
[Reference](README.md)
`;
}

function configuration(): string {
  const tables = CONFIGURATION.map(({ header, text, keys, example }) => {
    return (
      `## \`${header}\`\n\n` +
      `${wrap(text)}\n\n` +
      `${keys.map(keyLine).join('')}\n` +
      '```toml\n' +
      `${example}\`\`\`\n`
    );
  });
  return `${GENERATED}# kiln.toml

${wrap(
  'The settings of a host. The file is `/etc/kiln/kiln.toml`, or the one that the variable ' +
    `\`KILN_CONFIG\` names. The default file may be missing. It has the form of ` +
    '`buildkitd.toml`, so a file of BuildKit can be used unchanged: tables that are not listed ' +
    'here are ignored.',
)}

${wrap(
  'A *size* is a number of bytes, or a string such as `"512MB"` or `"10GB"` (powers of 1024), ' +
    'or a share of the disk such as `"20%"`.',
)}

${tables.join('\n')}
[Reference](README.md)
`;
}

function keyLine({ name, type, fallback, text }: ConfigurationKey): string {
  const kind = fallback === undefined ? type : `${type}, default \`${fallback}\``;
  return `${wrap(`- \`${name}\` (${kind}): ${text}`, '  ')}\n`;
}
