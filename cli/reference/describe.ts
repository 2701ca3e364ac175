import { type Command, completionWords, type Option } from '../arguments.ts';
import { COMMANDS } from '../commands.ts';
import { writtenName } from '../flagwords.ts';

/**
 * # The commands and their flags as data
 *
 * scripts/reference.ts generates the reference (docs/reference), the man page and the completion
 * scripts from it. It comes from the declarations of the commands, so that the documents always
 * agree with `kiln COMMAND --help`.
 */
export interface CommandDescription {
  /** The words of the command without `kiln`, such as `['cache', 'ls']`. */
  readonly words: readonly string[];
  readonly summary: string;
  readonly arguments: readonly ArgumentDescription[];
  readonly flags: readonly FlagDescription[];
  /** The subcommands of a group. A group has no arguments and flags. */
  readonly commands: readonly CommandDescription[];
}

export interface ArgumentDescription {
  readonly name: string;
  readonly required: boolean;
  readonly several: boolean;
  readonly text: string;
  /** The possible values, or an empty list when they cannot be listed. */
  readonly values: readonly string[];
}

export interface FlagDescription {
  /** The long name with its dashes, such as `--tag`. */
  readonly long: string;
  readonly short: string | undefined;
  /** The placeholder for the value, such as `name`. Undefined for a boolean flag. */
  readonly value: string | undefined;
  /** Whether the flag may be given several times. */
  readonly several: boolean;
  readonly text: string;
  /** The default value. */
  readonly fallback: string | undefined;
  /** Possible values, or what they begin with. Empty when they cannot be listed. */
  readonly values: readonly string[];
  /** Whether `--help` leaves the flag out. It exists for scripts that were written for docker. */
  readonly hidden: boolean;
}

/** Returns the descriptions of all commands, in the order of `kiln --help`. */
export async function describeCommands(): Promise<readonly CommandDescription[]> {
  const modules = await Promise.all(Object.values(COMMANDS).map(({ load }) => load()));
  const commands = await Promise.all(modules.map((module) => module.declareCommand()));
  return commands.map(describe);
}

/** Returns all commands, with the subcommands of a group instead of the group. */
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
