import type { CommandDescription, FlagDescription } from './describe.ts';
import { leafCommands } from './describe.ts';

/** Returns the text of completions/kiln.fish. */
export function fishCompletion(commands: readonly CommandDescription[]): string {
  const groups = commands.filter((command) => command.commands.length > 0);
  return `# fish completion for kiln. Written by scripts/reference.ts.

# True when the words so far call this command.
function __kiln_is
    set -l words (commandline -opc)
    set -l name "$words[2]"
    if contains -- "$name" ${groups.map(({ words }) => words.join(' ')).join(' ')}
        set name (string trim -- "$name $words[3]")
    end
    test "$name" = "$argv[1]"
end

${[
  ...commands.map((command) => word('', command)),
  ...groups.flatMap((group) =>
    group.commands.map((command) => word(group.words.join(' '), command)),
  ),
  "complete -c kiln -n '__kiln_is \"\"' -f -a help -d 'Print the help of a command'",
  "complete -c kiln -n '__kiln_is \"\"' -f -a version -d 'Print the version'",
  ...leafCommands(commands).flatMap(ofCommand),
].join('\n')}
`;
}

function word(before: string, { words, summary }: CommandDescription): string {
  return `complete -c kiln -n '__kiln_is "${before}"' -f -a ${words.at(-1)} -d ${quoted(summary)}`;
}

function ofCommand({ words, flags, arguments: positional }: CommandDescription): readonly string[] {
  const here = `complete -c kiln -n '__kiln_is "${words.join(' ')}"'`;
  const values = positional.flatMap((argument) => argument.values);
  return [
    ...(values.length > 0 ? [`${here} -f -a ${quoted(values.join(' '))}`] : []),
    ...flags.map((flag) => `${here} ${ofFlag(flag)}`),
  ];
}

function ofFlag({ long, short, value, values, text }: FlagDescription): string {
  return [
    ...(short ? [`-s ${short.slice(1)}`] : []),
    `-l ${long.slice(2)}`,
    ...(value === undefined
      ? []
      : values.length > 0
        ? [`-x -a ${quoted(values.join(' '))}`]
        : ['-r']),
    `-d ${quoted(text)}`,
  ].join(' ');
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
