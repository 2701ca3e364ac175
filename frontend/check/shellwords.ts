import type { RunInstruction } from '../instructions.ts';

/** One command of a shell text: its words without quotes, and without assignments before it. */
export type SimpleCommand = readonly string[];

/** Checks read only this many characters of a script. */
const LIMIT = 16 * 1024;

/**
 * The text that a RUN gives to a shell. Undefined for JSON form, and for a script that names its
 * own interpreter.
 */
export function shellTextOf({ command, heredocs }: RunInstruction): string | undefined {
  if (command.form === 'exec') return undefined;
  const [script] = heredocs;
  if (!script) return command.text.slice(0, LIMIT);
  const isScript = /^\s*\d*<<-?\S+\s*$/.test(command.text) && !script.content.startsWith('#!');
  return isScript ? script.content.slice(0, LIMIT) : undefined;
}

/**
 * The commands of a shell text in order, as far as possible without a shell: it is split at `;`,
 * `&&`, `||`, `|`, `&` and line breaks outside quotes. Nested code (subshells, loops) gives
 * commands whose first word is not the name of a command, which is sufficient for a check.
 */
export function commandsOf(text: string): SimpleCommand[] {
  const commands: SimpleCommand[] = [];
  let words: string[] = [];
  for (const [token] of text.matchAll(TOKEN)) {
    if (/^[;&|\n]/.test(token)) {
      if (words.length > 0) commands.push(words);
      words = [];
    } else if (
      /^\S/.test(token) &&
      !token.startsWith('#') &&
      (words.length > 0 || !ASSIGNMENT.test(token))
    )
      words.push(token.replace(/["']/g, ''));
  }
  if (words.length > 0) commands.push(words);
  return commands;
}

const TOKEN =
  /[;&|\n]+|[^\S\n]+|#[^\n]*|(?:"(?:[^"\\]|\\[\s\S])*"?|'[^']*'?|\\[\s\S]|[^\s;&|"'\\])+|\\$/g;
const ASSIGNMENT = /^[A-Za-z_]\w*=/;
