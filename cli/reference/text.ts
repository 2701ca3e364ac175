import type { ArgumentDescription, CommandDescription, FlagDescription } from './describe.ts';

/** The width in columns of generated Markdown. */
const WIDTH = 100;

/**
 * Breaks Markdown into lines of at most `WIDTH` columns. Lines after the first begin with `indent`.
 * Code spans are not broken.
 */
export function wrap(text: string, indent = ''): string {
  const words = text.match(/(?:`[^`]*`|[^\s`])+/g) ?? [];
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && (lines.length > 0 ? indent.length : 0) + longer.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line].join(`\n${indent}`);
}

/** Returns the command with `kiln`, such as `kiln cache ls`. */
export function commandName({ words }: CommandDescription): string {
  return ['kiln', ...words].join(' ');
}

/** Returns the usage of a command, such as `kiln build [FLAGS] <context>`. */
export function usageOf(command: CommandDescription): string {
  if (command.commands.length > 0) return `${commandName(command)} COMMAND`;
  return [
    commandName(command),
    ...(command.flags.length > 0 ? ['[FLAGS]'] : []),
    ...command.arguments.map(shown),
  ].join(' ');
}

function shown({ name, required, several }: ArgumentDescription): string {
  const whole = `${name}${several ? '...' : ''}`;
  return required ? `<${whole}>` : `[${whole}]`;
}

/** Returns sentences to add to the description of a flag: values, default, repetition. */
export function notesOf({ several, fallback, values, text }: FlagDescription): readonly string[] {
  const unmentioned = values.filter((value) => !text.includes(value.replace(/^type=|=$/g, '')));
  return [
    ...(unmentioned.length > 0 ? [`Values: ${values.join(', ')}.`] : []),
    ...(fallback !== undefined ? [`Default: ${fallback}.`] : []),
    ...(several && !text.includes('several times') ? ['May be given several times.'] : []),
  ];
}

/** Makes a description a sentence: with a capital letter and a full stop. */
export function sentence(text: string): string {
  // A word before a colon, such as `json: …`, is a value and keeps its case.
  const whole = /^[\w.-]+[:=]/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.…]$/.test(whole) || whole === '' ? whole : `${whole}.`;
}
