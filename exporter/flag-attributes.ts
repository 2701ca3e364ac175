import type { KilnErrorCode } from '../base/codes.ts';
import { KilnError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import type { Compression } from '../snapshotter/content.ts';

const COMPRESSIONS = ['gzip', 'zstd', 'uncompressed'] as const;
/** Compressions of BuildKit that are not made here. */
const UNSUPPORTED: ReadonlySet<string> = new Set(['estargz', 'nydus']);

/** A compression, and how hard it tries. Each undefined when the user did not choose. */
export interface CompressionChoice {
  readonly compression: Compression | undefined;
  readonly level: number | undefined;
}

/**
 * The attributes of one value of a flag, such as `type=oci,dest=out.tar`. Each is asked for by
 * name, so that unused attributes can be refused. An attribute whose value is undefined may be
 * given and counts as left out. What is wrong is an error of `code`, with the flag as its place.
 */
export class FlagAttributes {
  readonly #flag: string;
  readonly #code: KilnErrorCode;
  readonly #map: ReadonlyMap<string, string | undefined>;
  readonly #asked = new Set<string>();

  constructor(flag: string, code: KilnErrorCode, map: ReadonlyMap<string, string | undefined>) {
    this.#flag = flag;
    this.#code = code;
    this.#map = map;
  }

  text(name: string): string | undefined {
    this.#asked.add(name);
    return this.#map.get(name);
  }

  /** Parses a value that must not be empty. `shown` stands for it in the hint. */
  required(name: string, shown = '…'): string {
    const value = this.text(name);
    if (value) return value;
    const type = this.#map.get('type');
    throw this.fail(
      `type=${type} needs ${name}`,
      `write ${this.#flag} type=${type},${name}=${shown}`,
    );
  }

  /** Parses `true`, `false`, `1` or `0`. The name alone means true. */
  flag(name: string): boolean | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (/^(true|1|t|)$/i.test(value)) return true;
    if (/^(false|0|f)$/i.test(value)) return false;
    throw this.fail(`${name}=${value} is neither true nor false`, undefined);
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.text(name);
    const known = choices.find((choice) => choice === value);
    if (value === undefined || known !== undefined) return known;
    throw this.fail(`unknown ${name} ${JSON.stringify(value)}`, `${name} is ${listed(choices)}`);
  }

  /** Parses `type`, without which the other attributes have no meaning. */
  type<T extends string>(types: readonly T[]): T {
    const type = this.choice('type', types);
    if (type !== undefined) return type;
    throw this.fail('type is missing', `type is ${listed(types)}`);
  }

  /** Parses `compression` and `compression-level`. A level alone is one of gzip. */
  compression(): CompressionChoice {
    const asked = this.text('compression');
    if (asked !== undefined && UNSUPPORTED.has(asked))
      throw this.fail(
        `compression=${asked} is not supported`,
        'use zstd for small layers, or gzip for layers that every tool reads',
      );
    const compression = this.choice('compression', COMPRESSIONS);
    return { compression, level: this.#level(compression ?? 'gzip') };
  }

  #level(compression: Compression): number | undefined {
    const text = this.text('compression-level');
    if (text === undefined) return undefined;
    const [least, most] = compression === 'zstd' ? [1, 22] : [0, 9];
    const level = Number(text);
    // As in BuildKit, it is the level that zstd has by itself.
    if (compression === 'zstd' && text === '0') return undefined;
    if (/^\d+$/.test(text) && level >= least && level <= most) return level;
    throw this.fail(
      `compression-level ${JSON.stringify(text)} is not valid for ${compression}`,
      `write a number from ${least} to ${most}`,
    );
  }

  /** What `parse` makes of the attributes that it knows by the form of their names. */
  matching<T>(parse: (name: string, value: string) => T | undefined): T[] {
    return [...this.#map].flatMap(([name, value]) => {
      const parsed = parse(name, value ?? '');
      if (parsed !== undefined) this.#asked.add(name);
      return parsed ?? [];
    });
  }

  /** The attributes that were given and not asked for. */
  get unasked(): string[] {
    return [...this.#map.keys()].filter((name) => !this.#asked.has(name));
  }

  /** Refuses the first attribute that was given and not asked for. */
  end(): void {
    const [unknown] = this.unasked;
    if (unknown === undefined) return;
    const known = [...this.#asked].filter((name) => name !== 'type');
    throw this.fail(
      `unknown attribute ${JSON.stringify(unknown)}${didYouMean(unknown, known)}`,
      `type=${this.#map.get('type')} has the attributes ${known.join(', ')}`,
    );
  }

  fail(message: string, hint: string | undefined, code = this.#code): KilnError {
    return new KilnError(code, message, {
      place: { kind: 'flag', flag: this.#flag },
      hint,
      exitCode: 2,
    });
  }
}

/** `a, b or c`. */
function listed(words: readonly string[]): string {
  return [words.slice(0, -1).join(', '), ...words.slice(-1)].filter(Boolean).join(' or ');
}
