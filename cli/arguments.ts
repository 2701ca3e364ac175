import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { KilnError } from '../base/errors.ts';
import { stdout } from './output.ts';

export { Command, InvalidArgumentError, Option };

/**
 * A commander command with the manners of Docker's: flags may follow arguments, boolean flags take `=true` and `=false`, a wrong flag is
 * a KilnError with a suggestion. Every command takes --root, which goes before KILN_ROOT. `kiln NAME --help` prints to stdout and ends with 0.
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

/** Parses `argv`; answers false when all that was asked for was help. */
export function parseArguments(command: Command, argv: readonly string[]): boolean {
  try {
    command.parse(withoutBooleanValues(command, argv), { from: 'user' });
    const { root } = command.opts<{ root?: string }>();
    if (root !== undefined) process.env['KILN_ROOT'] = root;
    return true;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed' || error.code === 'commander.help') return false;
    throw new KilnError('KILN_USAGE', error.message.replace(/^error: /, '').replace(/\n\((.*)\)$/, ' ($1)'), {
      hint: `'${command.name()} --help' lists the flags`,
      exitCode: 2,
    });
  }
}

/** `--load=true` becomes `--load`, and `--load=false` goes away (the default of each of our boolean flags is false). */
function withoutBooleanValues(command: Command, argv: readonly string[]): string[] {
  const booleans = new Set(command.options.filter((option) => option.isBoolean() || option.negate).map((option) => option.long));
  return argv.flatMap((argument) => {
    const match = /^(--[a-z-]+)=(true|false|1|0|t|f|TRUE|FALSE|True|False)$/.exec(argument);
    if (!match || !booleans.has(match[1])) return [argument];
    return /^(true|1|t)$/i.test(match[2] ?? '') ? [match[1] ?? ''] : [];
  });
}

/** For an option that may be given several times. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** Splits `type=oci,dest=out.tar,"annotation.x=a,b"` as Go's encoding/csv does: a field may be quoted, `""` is a quote inside. */
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
    throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(text)} is no size`, {
      place: { kind: 'flag', flag },
      hint: 'write it like 64m or 1g',
      exitCode: 2,
    });
  const power = ' kmgtp'.indexOf((match[2] ?? '').toLowerCase() || ' ');
  return Math.floor(Number(match[1]) * 1024 ** power);
}
