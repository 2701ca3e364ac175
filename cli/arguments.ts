import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { csvFields } from '../base/csv.ts';
import { KilnError } from '../base/errors.ts';
import { flagError } from './flag-error.ts';
import { commanderName, type DeclareMore, readFlagWords } from './flagwords.ts';
import { stderr, stdout } from './output.ts';

export { Argument, Command, InvalidArgumentError, Option };

/**
 * Makes a commander command that reads its arguments as Docker's commands do: flags may follow
 * arguments, boolean flags take `=true` and `=false`, and an unknown flag is a KilnError with a
 * suggestion. Every command takes --root, which takes precedence over KILN_ROOT.
 * `kiln NAME --help` prints to standard output and exits with 0.
 */
export function newCommand(name: string, summary: string): Command {
  return new Command(`kiln ${name}`)
    .description(summary)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: (text) => stdout.write(text) })
    .option('--root <dir>', 'the store (default: KILN_ROOT, /var/lib/kiln for root)')
    .showSuggestionAfterError(true)
    .allowExcessArguments(false);
}

/** Makes a command that only groups subcommands: `kiln NAME SUBCOMMAND`. */
export function newGroup(name: string, summary: string, commands: readonly Command[]): Command {
  const group = new Command(`kiln ${name}`).description(summary).helpCommand(false);
  for (const command of commands) group.addCommand(command);
  return group;
}

/** Returns what `kiln NAME --help` prints for a group. */
export function groupUsage(group: Command): string {
  const last = (command: Command) => command.name().split(' ').at(-1) ?? '';
  const width = Math.max(...group.commands.map((command) => last(command).length));
  const lines = group.commands.map(
    (command) => `  ${last(command).padEnd(width)}  ${command.description()}\n`,
  );
  return (
    `Usage: ${group.name()} COMMAND\n\n` +
    `${group.description()}.\n\n` +
    'Commands:\n' +
    `${lines.join('')}`
  );
}

const suggested = new WeakMap<Option, readonly string[]>();

/**
 * Declares words for shell completion: the values that a flag may have, or what they begin with.
 * `words` maps flags such as `--progress` to them. Other values are still accepted.
 */
export function suggestValues(
  command: Command,
  words: Readonly<Record<string, readonly string[]>>,
): Command {
  for (const [flag, values] of Object.entries(words)) {
    const option = command.options.find(({ long }) => long === flag);
    if (!option) throw new Error(`${command.name()} has no flag ${flag}`);
    suggested.set(option, values);
  }
  return command;
}

/** Returns what shell completion offers as a value of this flag: values or beginnings of values. */
export function completionWords(option: Option): readonly string[] {
  return option.argChoices ?? suggested.get(option) ?? [];
}

export interface ParseArgumentsOptions {
  /**
   * Flags end at the first argument. The words after it are the command line of another program, as
   * in `kiln run IMAGE ls -l`.
   */
  readonly passesThrough?: boolean;
  /**
   * What happens to a flag with an empty value, such as `--target=` or `--target "$UNSET"`: an
   * error, or a warning and the flag is ignored.
   */
  readonly empty?: 'refused' | 'ignored';
  /** Flags whose empty value means something. They are not subject to `empty`. */
  readonly mayBeEmpty?: ReadonlySet<string>;
  /** Is asked for a flag that the command does not have, before that is an error. */
  readonly declareMore?: DeclareMore | undefined;
  /** Prints a warning about a flag that has no effect. The default writes to standard error. */
  readonly warn?: (sentence: string) => void;
}

/**
 * Parses `argv` into `command`. Returns false when the user asked for help, which is then already
 * printed. Throws KILN_USAGE for a command line that is not valid.
 */
export function parseArguments(
  command: Command,
  argv: readonly string[],
  options: ParseArgumentsOptions = {},
): boolean {
  try {
    command.parse(normalizedWords(command, argv, options), { from: 'user' });
    if (command.args.slice(0, options.passesThrough ? 1 : undefined).includes(''))
      throw new KilnError('KILN_USAGE', 'an argument is empty', {
        hint: `'${command.name()} --help' explains the arguments`,
        exitCode: 2,
      });
    const { root } = command.opts<{ root?: string }>();
    if (root !== undefined) process.env['KILN_ROOT'] = root;
    return true;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed' || error.code === 'commander.help') return false;
    const message = error.message.replace(/^error: /, '').replace(/\n\((.*)\)$/, ' ($1)');
    throw new KilnError('KILN_USAGE', message.replaceAll('--nocache-filter', '--no-cache-filter'), {
      hint: usageHint(command, error.code, message),
      exitCode: 2,
    });
  }
}

function usageHint(command: Command, code: string, message: string): string {
  const [, meant] = /Did you mean (--[\w-]+)\?/.exec(message) ?? [];
  if (meant !== undefined) return `write ${meant}`;
  const help = `'${command.name()} --help'`;
  if (code === 'commander.missingArgument' && message.includes("'context'"))
    return `write '${command.name()} .' for the current directory; ${help} lists the flags`;
  if (code === 'commander.excessArguments')
    return `put a value with spaces in quotes; ${help} lists the arguments`;
  return `${help} lists the flags`;
}

/**
 * Returns the words in the form that commander reads. Warns about a flag whose value commander
 * would silently drop, or refuses it.
 */
function normalizedWords(
  command: Command,
  argv: readonly string[],
  {
    passesThrough = false,
    empty = 'refused',
    mayBeEmpty,
    declareMore,
    warn = printWarning,
  }: ParseArgumentsOptions,
): readonly string[] {
  const read = readFlagWords(command, argv, passesThrough, declareMore);
  for (const flag of read.repeated) warn(`${flag} is given more than once: the last value is used`);
  const lost = read.empty.filter((flag) => !mayBeEmpty?.has(flag));
  if (empty === 'refused' && lost[0] !== undefined)
    throw new KilnError('KILN_USAGE', `${lost[0]} has an empty value`, {
      place: { kind: 'flag', flag: lost[0] },
      hint: 'give it a value, or leave it out',
      exitCode: 2,
    });
  for (const flag of lost) warn(`${flag} has an empty value and is ignored`);
  const isLost = (word: string) => lost.some((flag) => word === `${commanderName(flag)}=`);
  return read.words.filter((word) => !isLost(word));
}

function printWarning(sentence: string): void {
  stderr.write(`WARNING: ${sentence}\n`);
}

/**
 * Throws KILN_USAGE when `flag` is given together with one of `others`. One of the two would have
 * no effect.
 */
export function rejectCombination(command: Command, flag: string, others: readonly string[]): void {
  const isGiven = (name: string) => {
    const option = command.options.find(({ long }) => long === name);
    return option !== undefined && command.getOptionValueSource(option.attributeName()) === 'cli';
  };
  const other = isGiven(flag) ? others.find(isGiven) : undefined;
  if (other === undefined) return;
  throw new KilnError('KILN_USAGE', `${flag} and ${other} cannot be used together`, {
    place: { kind: 'flag', flag: other },
    hint: 'use only one of them',
    exitCode: 2,
  });
}

/** Commander's parser for an option that may be given several times: it collects the values. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/**
 * Splits a value such as `type=oci,dest=out.tar` at its commas (base/csv.ts). Throws
 * KILN_FLAG_VALUE, naming `flag`, when a quote is not closed.
 */
export function splitCsv(text: string, flag: string): string[] {
  const fields = csvFields(text);
  if (fields) return fields;
  throw flagError(flag, `a quote in ${JSON.stringify(text)} is not closed`);
}

/**
 * Parses `k=v,k2=v2,word` into a map. Keys are lowercased and trimmed. A word without `=` has the
 * value ''. Throws KILN_FLAG_VALUE as `splitCsv` and `fieldMap` do.
 */
export function keyValues(
  text: string,
  flag: string,
  nameOf = (name: string) => name.toLowerCase(),
): Map<string, string> {
  return fieldMap(
    flag,
    splitCsv(text, flag).map((field) => {
      const equals = field.indexOf('=');
      return equals < 0
        ? [nameOf(field.trim()), '']
        : [nameOf(field.slice(0, equals).trim()), field.slice(equals + 1)];
    }),
  );
}

/**
 * Makes a map of the fields of one value of `flag`. Throws KILN_FLAG_VALUE for a field that is
 * given twice with different values, because one of them would have no effect.
 */
export function fieldMap(
  flag: string,
  fields: readonly (readonly [name: string, value: string])[],
): Map<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of fields) {
    const earlier = map.get(name);
    if (earlier !== undefined && earlier !== value)
      throw flagError(
        flag,
        `${JSON.stringify(name)} is given twice in one value, and not the same`,
        `leave out one of the two ${name}=…`,
      );
    map.set(name, value);
  }
  return map;
}

/**
 * Parses a size as docker's flags take it, such as `64m`, `1.5GB` or `4096`. Returns bytes. Units
 * are powers of 1024. Throws KILN_FLAG_VALUE, naming `flag`.
 */
export function parseBytes(text: string, flag: string): number {
  const match = /^(\d+\.?\d*|\.\d+)\s*([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  const power = ' kmgtp'.indexOf((match?.[2] ?? '').toLowerCase() || ' ');
  const size = Math.floor(Number(match?.[1]) * 1024 ** power);
  if (Number.isSafeInteger(size)) return size;
  throw flagError(
    flag,
    `${JSON.stringify(text)} is not a size${match ? ' that a computer has' : ''}`,
    'write it like 64m or 1g',
  );
}
