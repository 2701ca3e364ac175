import { type Command, completionWords, type Option } from '../arguments.ts';
import { COMMANDS } from '../commands.ts';
import { writtenName } from '../flagwords.ts';

/**
 * # What there is to type, as data
 *
 * The reference (docs/reference), the man page and the completion scripts are made of this, by
 * scripts/reference.ts. It is read from the commands themselves, so that none of these can say
 * something else than `kiln COMMAND --help` does.
 */
export interface CommandDescription {
  /** The words by which it is called, without `kiln`: `['cache', 'ls']`. */
  readonly words: readonly string[];
  readonly summary: string;
  readonly arguments: readonly ArgumentDescription[];
  readonly flags: readonly FlagDescription[];
  /** The commands of a group, which has nothing else. */
  readonly commands: readonly CommandDescription[];
}

export interface ArgumentDescription {
  readonly name: string;
  readonly required: boolean;
  readonly several: boolean;
  readonly text: string;
  /** What it can be, where that can be listed. */
  readonly values: readonly string[];
}

export interface FlagDescription {
  /** With its dashes: `--tag`. */
  readonly long: string;
  readonly short: string | undefined;
  /** The name of its value: `name`; undefined when it takes none. */
  readonly value: string | undefined;
  readonly several: boolean;
  readonly text: string;
  readonly fallback: string | undefined;
  /** What its value is or begins with, where that can be listed. */
  readonly values: readonly string[];
  /** `kiln COMMAND --help` does not show it: it is there for those who have it in scripts. */
  readonly hidden: boolean;
}

/** All commands, in the order of `kiln --help`. */
export async function describeCommands(): Promise<readonly CommandDescription[]> {
  const modules = await Promise.all(Object.values(COMMANDS).map(({ load }) => load()));
  const commands = await Promise.all(modules.map((module) => module.declareCommand()));
  return commands.map(describe);
}

/** The commands that can be called: groups stand for what is in them. */
export function leafCommands(
  commands: readonly CommandDescription[],
): readonly CommandDescription[] {
  return commands.flatMap((command) =>
    command.commands.length > 0 ? leafCommands(command.commands) : [command],
  );
}

function describe(command: Command): CommandDescription {
  return {
    words: command.name().split(' ').slice(1),
    summary: command.description(),
    arguments: command.registeredArguments.map((argument) => ({
      name: argument.name(),
      required: argument.required,
      several: argument.variadic,
      text: argument.description,
      values: argument.argChoices ?? [],
    })),
    flags: command.commands.length > 0 ? [] : command.options.map(flagOf),
    commands: command.commands.map(describe),
  };
}

function flagOf(option: Option): FlagDescription {
  return {
    long: writtenName(option.long ?? ''),
    short: option.short,
    value: option.required ? /<(.+)>/.exec(option.flags)?.[1] : undefined,
    several: option.parseArg !== undefined && option.argChoices === undefined,
    text: option.description,
    fallback: typeof option.defaultValue === 'string' ? option.defaultValue : undefined,
    values: completionWords(option),
    hidden: option.hidden && writtenName(option.long ?? '') === option.long,
  };
}
