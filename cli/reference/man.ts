import { CONFIGURATION } from './configuration.ts';
import type { CommandDescription, FlagDescription } from './describe.ts';
import { leafCommands } from './describe.ts';
import { ENVIRONMENT } from './environment.ts';
import { notesOf, sentence, usageOf } from './text.ts';

/** Returns the text of man/kiln.1: one page for all commands, in the macros of man(7). */
export function manPage(commands: readonly CommandDescription[]): string {
  return `.\\" Written by scripts/reference.ts.
.TH KILN 1 "" "Kiln" "User Commands"
.SH NAME
kiln \\- build container images from Dockerfiles, without a daemon
.SH SYNOPSIS
.B kiln
.I COMMAND
.RI [ FLAGS ]
.RI [ ARGUMENTS ]
.SH DESCRIPTION
${plain(ABOUT)}
.PP
${plain(FLAGS)}
.SH COMMANDS
${leafCommands(commands).map(section).join('')}.SH ENVIRONMENT
${environment()}.SH FILES
${files()}.SH EXIT STATUS
${exitStatus()}.PP
${plain('kiln run ends with the exit status of the program that it ran.')}
.SH EXAMPLES
${EXAMPLES.map(([call, text]) => tagged(bold(call), text)).join('')}.SH SEE ALSO
${plain('docker-buildx-build(1), dockerfile(5), crun(1)')}
`;
}

const ABOUT =
  'Kiln builds container images from Dockerfiles, in one process and without a daemon. Its flags ' +
  'have the same names and meaning as those of docker buildx build.';
const FLAGS =
  'Flags may come before or after arguments. A flag with a value is written --flag value or ' +
  '--flag=value. A flag without a value can be switched off: --flag=false. Every command takes ' +
  '--help, and --root <dir>, the directory of the store.';
const EXAMPLES: readonly (readonly [call: string, text: string])[] = [
  ['kiln build -t app .', 'Builds the Dockerfile of the current directory.'],
  [
    'kiln build --platform linux/amd64,linux/arm64 -t registry.example.com/app --push .',
    'Builds for two platforms and pushes the result.',
  ],
  ['kiln build --output out .', 'Writes the files of the result into a directory.'],
];

function environment(): string {
  return ENVIRONMENT.map(({ title, variables }) => {
    const entries = variables.map(({ names, text }) =>
      tagged(bold(names.join(', ')), unmarked(text)),
    );
    return `.SS ${quoted(title)}\n${entries.join('')}`;
  }).join('');
}

function files(): string {
  const tables = CONFIGURATION.map(({ header, text, keys }) => {
    const entries = keys.map((key) =>
      tagged(bold(key.name), unmarked(`(${key.type}) ${key.text}`)),
    );
    return `${tagged(bold(header), unmarked(text))}.RS\n${entries.join('')}.RE\n`;
  });
  return [
    tagged(bold('/etc/kiln/kiln.toml'), 'The settings of the host. Its tables and keys:'),
    `.RS\n${tables.join('')}.RE\n`,
    tagged(bold('/var/lib/kiln'), 'The store, for root.'),
    tagged(bold('~/.local/share/kiln'), 'The store, for an ordinary user.'),
    tagged(bold('~/.docker/config.json'), "Docker's logins and proxies."),
    tagged(bold('/etc/docker/certs.d'), "Docker's certificates of registries."),
  ].join('');
}

function exitStatus(): string {
  return [
    tagged('0', 'Success.'),
    tagged('1', 'The command failed. The message contains the reason and a code.'),
    tagged('2', 'The command line is not valid.'),
    tagged('70', 'A bug in Kiln.'),
    tagged('130', 'Cancelled.'),
  ].join('');
}

function section(command: CommandDescription): string {
  const described = command.arguments.filter(({ text }) => text !== '');
  const flags = command.flags.filter(({ long }) => long !== '--root');
  return [
    `.SS ${quoted(usageOf(command))}\n`,
    `${plain(sentence(command.summary))}\n`,
    ...described.map(({ name, text }) => tagged(italic(name), sentence(text))),
    ...flags.map(flagEntry),
  ].join('');
}

function flagEntry(flag: FlagDescription): string {
  const names = [flag.short, flag.long].filter((name) => name !== undefined).map(bold);
  const value = flag.value === undefined ? '' : ` ${italic(`<${flag.value}>`)}`;
  return tagged(`${names.join(', ')}${value}`, [sentence(flag.text), ...notesOf(flag)].join(' '));
}

/** Returns a paragraph below a tag. `tag` is troff, `text` is plain text. */
function tagged(tag: string, text: string): string {
  return `.TP\n${tag}\n${plain(text)}\n`;
}

function bold(text: string): string {
  return `\\fB${escaped(text)}\\fR`;
}

function italic(text: string): string {
  return `\\fI${escaped(text)}\\fR`;
}

/** Removes the code marks of Markdown. */
function unmarked(text: string): string {
  return text.replaceAll('`', '');
}

/**
 * Escapes a line of text. Troff would take a line that begins with a dot or a quote for a request.
 */
function plain(text: string): string {
  return escaped(text).replace(/^(?=[.'])/, '\\&');
}

function quoted(text: string): string {
  return `"${escaped(text).replaceAll('"', '\\(dq')}"`;
}

/** Escapes the special characters of troff, and those that it would print as others. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('~', '\\(ti')
    .replaceAll('^', '\\(ha')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('…', '\\&...');
}
