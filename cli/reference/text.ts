import type { ArgumentDescription, CommandDescription, FlagDescription } from './describe.ts';

/** The width of every page that is written here. */
const WIDTH = 100;

/**
 * Text in lines of at most `WIDTH` columns; lines after the first begin with `indent`. A code span
 * is not broken.
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

/** `kiln cache ls` */
export function commandName({ words }: CommandDescription): string {
  return ['kiln', ...words].join(' ');
}

/** `kiln build [FLAGS] <context>` */
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

/** What is to be known of a flag besides its description. */
export function notesOf({ several, fallback, values, text }: FlagDescription): readonly string[] {
  const unsaid = values.filter((value) => !text.includes(value.replace(/^type=|=$/g, '')));
  return [
    ...(unsaid.length > 0 ? [`Values: ${values.join(', ')}.`] : []),
    ...(fallback !== undefined ? [`Default: ${fallback}.`] : []),
    ...(several && !text.includes('several times') ? ['May be given several times.'] : []),
  ];
}

/** A description as a sentence. */
export function sentence(text: string): string {
  // What stands before a colon is a value, and written as it is.
  const whole = /^[\w.-]+[:=]/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.…]$/.test(whole) || whole === '' ? whole : `${whole}.`;
}
