import type { Platform } from '../../base/platform.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import { NET_MODE, type NetMode } from '../../solver/llb/enums.ts';
import { Versions } from './versions.ts';
import type { Env } from './words.ts';

/** What the steps of a stage hand from one to the next. Immutable: `with…` give a changed copy. */
export interface StageState {
  /** Undefined for the empty tree. */
  readonly tree: DraftEdge | undefined;
  readonly env: Environment;
  readonly dir: string;
  readonly user: string;
  readonly network: NetMode;
  readonly hostname: string;
  /** The platform of what runs on this tree; that of the target when undefined. */
  readonly platform: Platform | undefined;
}

export function emptyState(tree: DraftEdge | undefined, platform?: Platform): StageState {
  return {
    tree,
    env: Environment.empty(),
    dir: '/',
    user: '',
    network: NET_MODE.default,
    hostname: '',
    platform,
  };
}

/** A tag, a length and `=`. */
const OF_AN_ENTRY = 3;

/**
 * ENV, and the ARGs that are declared; a variable that is set again moves to the end. A stage
 * begins with setting all variables of its base's config again: that is said by naming them, not
 * done one by one, as stages can follow one another by the thousand.
 */
export class Environment implements Env, Iterable<readonly [string, string]> {
  /** All that was set, in this stage and those it is built on. */
  readonly #sets: Versions<string>;
  /**
   * The config's variables (as `NAME=value`) when the stage began, and what had been set by then.
   */
  readonly #base: Versions<string> | undefined;
  readonly #begin: number;

  private constructor(sets: Versions<string>, base: Versions<string> | undefined, begin: number) {
    this.#sets = sets;
    this.#base = base;
    this.#begin = begin;
  }

  static empty(): Environment {
    return Environment.#empty;
  }

  static readonly #empty = new Environment(Versions.of('moves'), undefined, 0);

  with(entries: Iterable<readonly [string, string]>): Environment {
    return new Environment(this.#sets.withAll(entries), this.#base, this.#begin);
  }

  /** All variables of a config set again. */
  over(base: Versions<string>): Environment {
    return new Environment(this.#sets, base, this.#sets.depth);
  }

  /** Bytes that it takes to describe it in an op, or a little less. */
  get bytes(): number {
    return this.#sets.bytes + OF_AN_ENTRY * this.#sets.size;
  }

  get(name: string): string | undefined {
    if (this.#sets.setSince(name, this.#begin)) return this.#sets.get(name);
    const entry = this.#base?.get(name);
    return entry === undefined ? this.#sets.get(name) : splitEnv(entry)[1];
  }

  /** In no order, and some of them twice. */
  *keys(): Iterable<string> {
    yield* this.#sets.names();
    for (const key of this.#base?.names() ?? []) if (!isHidden(key)) yield key;
  }

  *[Symbol.iterator](): Iterator<readonly [string, string]> {
    const sets = this.#sets.entries();
    const since = (key: string) => this.#sets.setSince(key, this.#begin);
    for (const entry of sets) if (!since(entry[0]) && !this.#base?.has(entry[0])) yield entry;
    for (const [key, entry] of this.#base?.entries() ?? [])
      if (!isHidden(key) && !since(key)) yield [key, splitEnv(entry)[1]];
    for (const entry of sets) if (since(entry[0])) yield entry;
  }
}

export function withEnv(
  state: StageState,
  entries: Iterable<readonly [string, string]>,
): StageState {
  return { ...state, env: state.env.with(entries) };
}

export function splitEnv(entry: string): readonly [string, string] {
  const equals = entry.indexOf('=');
  return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
}

/**
 * The variables of a config by name, each as it is written there. Of a name that is there twice the
 * last one counts, as for the program that gets them; the earlier ones keep their places under
 * names that are none.
 */
export function envOf(config: readonly string[]): Versions<string> {
  const last = new Map(config.map((entry, index) => [splitEnv(entry)[0], index]));
  return Versions.of(
    'stays',
    config.map((entry, index) => {
      const [name] = splitEnv(entry);
      return [last.get(name) === index ? name : `${name}\0${index}`, entry] as const;
    }),
  );
}

function isHidden(name: string): boolean {
  return name.includes('\0');
}
