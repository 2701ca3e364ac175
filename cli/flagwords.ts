import type { Command, Option } from 'commander';
import { KilnError } from '../base/errors.ts';

/**
 * # The words of a command line, read as Docker reads them
 *
 * Docker parses flags with Go's pflag. Commander's syntax differs from it in details. So this
 * module rewrites the words before commander parses them: `--name=value` for each value, and
 * `--name` for each boolean flag that is true.
 *
 *     -t=app  -tapp  -t app      --tag=app
 *     -qtapp  -qt=app            --quiet --tag=app
 *     -q=true  --quiet=1         --quiet          (Go's ParseBool; the last of several is used)
 *     --load --load=false        (nothing)
 *
 *     --pull  --pull=true        --pull=true      (a flag that may have a value, after `=` only)
 *
 * Unknown flags are left as they are, so that commander reports them.
 */
export interface FlagWords {
  /** The rewritten words. */
  readonly words: readonly string[];
  /** Flags that take one value and were given several different ones. The last one is used. */
  readonly repeated: readonly string[];
  /** Flags whose value is empty. */
  readonly empty: readonly string[];
}

/**
 * Declares the flag with this long name when it is a rare one, and returns it. Throws when it is
 * one that the command refuses in words of its own.
 */
export type DeclareMore = (flag: string) => Option | undefined;

/**
 * Rewrites `argv` for commander. With `passesThrough` the words from the first argument on are left
 * as they are. Throws KILN_USAGE for a boolean flag whose value is not a boolean.
 */
export function readFlagWords(
  command: Command,
  argv: readonly string[],
  passesThrough: boolean,
  declareMore?: DeclareMore | undefined,
): FlagWords {
  const reader = new Reader(command.options, declareMore);
  reader.read(argv, passesThrough);
  return reader.result();
}

/**
 * Flags that have another name in commander. Commander takes a leading `no-` for the negation of a
 * boolean flag.
 */
const COMMANDER_NAMES: Readonly<Record<string, string>> = {
  '--no-cache-filter': '--nocache-filter',
};

/** Returns the name by which commander knows a flag that the user writes as `flag`. */
export function commanderName(flag: string): string {
  return COMMANDER_NAMES[flag] ?? flag;
}

/** Returns the flag as the user writes it. `name` is the name by which commander knows it. */
export function writtenName(name: string): string {
  return Object.keys(COMMANDER_NAMES).find((flag) => COMMANDER_NAMES[flag] === name) ?? name;
}

class Reader {
  readonly #byName = new Map<string, Option>();
  readonly #words: string[] = [];
  readonly #values = new Map<string, string[]>();
  /** Boolean flags and their values, in the order in which each was first given. */
  readonly #switches = new Map<string, boolean>();

  readonly #declareMore: DeclareMore | undefined;

  constructor(options: readonly Option[], declareMore: DeclareMore | undefined) {
    this.#declareMore = declareMore;
    for (const option of options) {
      if (option.long) this.#byName.set(option.long, option);
      if (option.short) this.#byName.set(option.short, option);
    }
  }

  #longFlag(name: string): Option | undefined {
    const known = this.#byName.get(name);
    if (known || name === '--help') return known;
    const more = this.#declareMore?.(name);
    if (more) this.#byName.set(name, more);
    return more;
  }

  read(argv: readonly string[], passesThrough: boolean): void {
    for (let at = 0; at < argv.length; at++) {
      const word = argv[at]!;
      const isFlag = word.startsWith('-') && word !== '-';
      if (word === '--' || (!isFlag && passesThrough)) {
        this.#words.push(...argv.slice(at));
        return;
      }
      if (!isFlag) this.#words.push(word);
      else if (word.startsWith('--')) at += this.#long(word, argv[at + 1]);
      else at += this.#short(word, argv[at + 1]);
    }
  }

  /**
   * Reads a word such as `--name=value` or `--name`. Returns how many of the next words it uses.
   */
  #long(word: string, next: string | undefined): 0 | 1 {
    const equals = word.indexOf('=');
    const written = equals < 0 ? word : word.slice(0, equals);
    const name = commanderName(written);
    const option = this.#longFlag(name);
    if (!option) this.#words.push(word);
    else if (isSwitch(option))
      this.#switch(name, equals < 0 ? 'true' : word.slice(equals + 1), name);
    else if (equals >= 0) this.#value(name, word.slice(equals + 1));
    else if (option.optional && !option.required) this.#value(name, 'true');
    else if (next === undefined) this.#words.push(word);
    else {
      this.#value(name, next);
      return 1;
    }
    return 0;
  }

  /**
   * Reads a word such as `-abc`: letters of boolean flags, of which the last may be a flag with a
   * value. Returns how many of the next words it uses.
   */
  #short(word: string, next: string | undefined): 0 | 1 {
    for (let rest = word.slice(1); rest !== ''; ) {
      const flag = `-${rest[0]}`;
      const option = this.#byName.get(flag);
      // pflag reads `-q=` with nothing after it as two flags, `-q` and `-=`.
      const given = rest.length > 2 && rest[1] === '=' ? rest.slice(2) : undefined;
      if (!option) {
        this.#words.push(flag === '-h' ? flag : rest === word.slice(1) ? word : flag);
        if (flag !== '-h' || given !== undefined) return 0;
        rest = rest.slice(1);
      } else if (isSwitch(option)) {
        this.#switch(option.long ?? flag, given ?? 'true', flag);
        rest = given === undefined ? rest.slice(1) : '';
      } else {
        const value = given ?? (rest.length > 1 ? rest.slice(1) : next);
        if (value === undefined) this.#words.push(flag);
        else this.#value(option.long ?? flag, value);
        return given === undefined && rest.length === 1 && next !== undefined ? 1 : 0;
      }
    }
    return 0;
  }

  #switch(name: string, text: string, asWritten: string): void {
    this.#switches.set(name, booleanValue(text, name, asWritten));
  }

  #value(name: string, value: string): void {
    this.#words.push(`${name}=${value}`);
    this.#values.set(name, [...(this.#values.get(name) ?? []), value]);
  }

  #takesOne(name: string): boolean {
    const option = this.#byName.get(name);
    return option !== undefined && option.parseArg === undefined && !isSwitch(option);
  }

  result(): FlagWords {
    const on = [...this.#switches].flatMap(([name, isOn]) => (isOn ? [name] : []));
    const repeated = [...this.#values].filter(
      ([name, values]) => this.#takesOne(name) && new Set(values).size > 1,
    );
    const empty = [...this.#values].filter(([, values]) => values.includes(''));
    return {
      words: [...on, ...this.#words],
      repeated: repeated.map(([name]) => writtenName(name)),
      empty: empty.map(([name]) => writtenName(name)),
    };
  }
}

/**
 * Parses the value of a boolean flag as Go's ParseBool does. `asWritten` is its name in the
 * message. Throws KILN_USAGE.
 */
export function booleanValue(text: string, name: string, asWritten = name): boolean {
  if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(?:0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new KilnError('KILN_USAGE', `${JSON.stringify(text)} is not a value of ${asWritten}`, {
    place: { kind: 'flag', flag: name },
    hint: `write ${name}, ${name}=true or ${name}=false`,
    exitCode: 2,
  });
}

function isSwitch(option: Option): boolean {
  return option.isBoolean() || option.negate;
}
