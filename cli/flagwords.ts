import type { Command, Option } from 'commander';
import { KilnError } from '../base/errors.ts';

/**
 * # The words of a command line, read as Docker reads them
 *
 * Docker's flags are those of Go's pflag, commander's differ in small things. So the words are put
 * in one plain form before commander sees them: `--name=value` for each value, `--name` for each
 * flag that is on.
 *
 *     -t=app  -tapp  -t app      --tag=app
 *     -qtapp  -qt=app            --quiet --tag=app
 *     -q=true  --quiet=1         --quiet          (Go's ParseBool; the last of several counts)
 *     --load --load=false        (nothing)
 *
 * What commander would not know is left as it is, so that commander says so.
 */
export interface FlagWords {
  readonly words: readonly string[];
  /** Flags that take one value and were given several that differ: the last one counts. */
  readonly repeated: readonly string[];
  /** Flags whose value is empty. */
  readonly empty: readonly string[];
}

export function readFlagWords(
  command: Command,
  argv: readonly string[],
  passesThrough: boolean,
): FlagWords {
  const reader = new Reader(command.options);
  reader.read(argv, passesThrough);
  return reader.result();
}

/** commander reads a leading `no-` as a negation, so this flag goes by another name inside. */
const INSIDE: Readonly<Record<string, string>> = { '--no-cache-filter': '--nocache-filter' };

/** The name that commander knows a flag by. */
export function inside(flag: string): string {
  return INSIDE[flag] ?? flag;
}

/** A flag as the user writes it. */
export function outside(name: string): string {
  return Object.keys(INSIDE).find((flag) => INSIDE[flag] === name) ?? name;
}

class Reader {
  readonly #byName = new Map<string, Option>();
  readonly #words: string[] = [];
  readonly #values = new Map<string, string[]>();
  /** Flags without a value, in the order they came first. */
  readonly #switches = new Map<string, boolean>();

  constructor(options: readonly Option[]) {
    for (const option of options) {
      if (option.long) this.#byName.set(option.long, option);
      if (option.short) this.#byName.set(option.short, option);
    }
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

  /** Answers how many words after this one belong to it. */
  #long(word: string, next: string | undefined): 0 | 1 {
    const equals = word.indexOf('=');
    const written = equals < 0 ? word : word.slice(0, equals);
    const name = inside(written);
    const option = this.#byName.get(name);
    if (!option) this.#words.push(word);
    else if (isSwitch(option))
      this.#switch(name, equals < 0 ? 'true' : word.slice(equals + 1), name);
    else if (equals >= 0) this.#value(name, word.slice(equals + 1));
    else if (next === undefined) this.#words.push(word);
    else {
      this.#value(name, next);
      return 1;
    }
    return 0;
  }

  /** `-abc`: letters of flags without a value, then perhaps one with a value. */
  #short(word: string, next: string | undefined): 0 | 1 {
    for (let rest = word.slice(1); rest !== ''; ) {
      const flag = `-${rest[0]}`;
      const option = this.#byName.get(flag);
      // As pflag: `-q=` without more is the flag q and then one called `=`.
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
    const on = /^(?:1|t|T|true|TRUE|True)$/.test(text);
    if (!on && !/^(?:0|f|F|false|FALSE|False)$/.test(text))
      throw new KilnError('KILN_USAGE', `${JSON.stringify(text)} is not a value of ${asWritten}`, {
        place: { kind: 'flag', flag: name },
        hint: `write ${name}, ${name}=true or ${name}=false`,
        exitCode: 2,
      });
    this.#switches.set(name, on);
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
      repeated: repeated.map(([name]) => outside(name)),
      empty: empty.map(([name]) => outside(name)),
    };
  }
}

function isSwitch(option: Option): boolean {
  return option.isBoolean() || option.negate;
}
