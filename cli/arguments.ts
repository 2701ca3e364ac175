import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { KilnError } from '../base/errors.ts';
import { inside, readFlagWords } from './flagwords.ts';
import { stderr, stdout } from './output.ts';

export { Argument, Command, InvalidArgumentError, Option };

/**
 * A commander command with the manners of Docker's: flags may follow arguments, boolean flags take
 * `=true` and `=false`, a wrong flag is a KilnError with a suggestion. Every command takes --root,
 * which goes before KILN_ROOT. `kiln NAME --help` prints to stdout and ends with 0.
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

/** A command that is nothing but a name for others: `kiln NAME OTHER`. */
export function newGroup(name: string, summary: string, commands: readonly Command[]): Command {
  const group = new Command(`kiln ${name}`).description(summary).helpCommand(false);
  for (const command of commands) group.addCommand(command);
  return group;
}

/** What `kiln NAME --help` prints for a group. */
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

const offered = new WeakMap<Option, readonly string[]>();

/**
 * Gives words with which values of flags begin to the shells' completion. Nothing is refused by
 * them.
 */
export function offer(
  command: Command,
  words: Readonly<Record<string, readonly string[]>>,
): Command {
  for (const [flag, values] of Object.entries(words)) {
    const option = command.options.find(({ long }) => long === flag);
    if (!option) throw new Error(`${command.name()} has no flag ${flag}`);
    offered.set(option, values);
  }
  return command;
}

/** The words that a value of this flag is, or begins with, where they can be listed. */
export function wordsFor(option: Option): readonly string[] {
  return option.argChoices ?? offered.get(option) ?? [];
}

export interface ReadingFlags {
  /** What follows the first argument is not ours: the command line of `kiln run`. */
  readonly passesThrough?: boolean;
  /**
   * What an empty value means, as `--target=` or `--target "$UNSET"`: it is `refused`, or counts as
   * `not given`, which is told. Flags in `mayBeEmpty` see it themselves.
   */
  readonly empty?: 'refused' | 'not given';
  readonly mayBeEmpty?: ReadonlySet<string>;
  /** Told what has no effect. */
  readonly warn?: (sentence: string) => void;
}

/** Parses `argv`; answers false when all that was asked for was help. */
export function parseArguments(
  command: Command,
  argv: readonly string[],
  reading: ReadingFlags = {},
): boolean {
  try {
    command.parse(plainWords(command, argv, reading), { from: 'user' });
    if (command.args.slice(0, reading.passesThrough ? 1 : undefined).includes(''))
      throw new KilnError('KILN_USAGE', 'an argument is an empty word', {
        hint: `'${command.name()} --help' says what the arguments are`,
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
      hint: `'${command.name()} --help' lists the flags`,
      exitCode: 2,
    });
  }
}

/** The words as commander is to see them; tells or refuses what would be lost without a word. */
function plainWords(
  command: Command,
  argv: readonly string[],
  { passesThrough = false, empty = 'refused', mayBeEmpty, warn = tell }: ReadingFlags,
): readonly string[] {
  const read = readFlagWords(command, argv, passesThrough);
  for (const flag of read.repeated) warn(`${flag} is given more than once: the last one counts`);
  const lost = read.empty.filter((flag) => !mayBeEmpty?.has(flag));
  if (empty === 'refused' && lost[0] !== undefined)
    throw new KilnError('KILN_USAGE', `${lost[0]} has an empty value`, {
      place: { kind: 'flag', flag: lost[0] },
      hint: 'give it a value, or leave it out',
      exitCode: 2,
    });
  for (const flag of lost) warn(`${flag} has an empty value, which counts as not given`);
  const isLost = (word: string) => lost.some((flag) => word === `${inside(flag)}=`);
  return read.words.filter((word) => !isLost(word));
}

function tell(sentence: string): void {
  stderr.write(`WARNING: ${sentence}\n`);
}

/**
 * Throws KILN_USAGE when `flag` is given together with one of `others`, which would then have no
 * effect.
 */
export function goesAlone(command: Command, flag: string, others: readonly string[]): void {
  const isGiven = (name: string) => {
    const option = command.options.find(({ long }) => long === name);
    return option !== undefined && command.getOptionValueSource(option.attributeName()) === 'cli';
  };
  const other = isGiven(flag) ? others.find(isGiven) : undefined;
  if (other === undefined) return;
  throw new KilnError('KILN_USAGE', `${flag} and ${other} cannot be used together`, {
    place: { kind: 'flag', flag: other },
    hint: 'give one of them',
    exitCode: 2,
  });
}

/** For an option that may be given several times. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/**
 * Splits `type=oci,dest=out.tar,"annotation.x=a,b"` as Go's encoding/csv does: a field may be
 * quoted, `""` is a quote inside.
 */
export function splitCsv(text: string, flag: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      const match = /"((?:[^"]|"")*)"(,|$)/y;
      match.lastIndex = at;
      const found = match.exec(text);
      if (!found)
        throw new KilnError('KILN_FLAG_VALUE', `a quote in ${JSON.stringify(text)} is not closed`, {
          place: { kind: 'flag', flag },
          exitCode: 2,
        });
      fields.push((found[1] ?? '').replaceAll('""', '"'));
      at = match.lastIndex;
      if (found[2] === '') return fields;
    } else {
      const comma = text.indexOf(',', at);
      fields.push(comma < 0 ? text.slice(at) : text.slice(at, comma));
      if (comma < 0) return fields;
      at = comma + 1;
    }
  }
}

/** `k=v,k2=v2,word` as a map; a word alone has the value ''. */
export function keyValues(text: string, flag: string): Map<string, string> {
  return new Map(
    splitCsv(text, flag).map((field) => {
      const equals = field.indexOf('=');
      return equals < 0
        ? [field.trim().toLowerCase(), '']
        : [field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1)];
    }),
  );
}

/** A number of bytes as docker's flags take it: `64m`, `1.5GB`, `4096`. Powers of 1024. */
export function parseBytes(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  if (!match)
    throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(text)} is not a size`, {
      place: { kind: 'flag', flag },
      hint: 'write it like 64m or 1g',
      exitCode: 2,
    });
  const power = ' kmgtp'.indexOf((match[2] ?? '').toLowerCase() || ' ');
  return Math.floor(Number(match[1]) * 1024 ** power);
}
