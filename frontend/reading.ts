import type { KilnError, Place } from '../base/errors.ts';
import { didYouMean, nearest } from '../base/suggest.ts';
import type { SourceRange } from '../solver/llb/graph.ts';
import type { Heredoc } from './instructions.ts';
import type { LogicalLine } from './lines.ts';
import { type DockerfileCode, placeOf, problem } from './problem.ts';
import type { FlagToken, Statement } from './tokens.ts';

/** What the reader of one instruction needs to know. */
export interface Reading {
  readonly line: LogicalLine;
  readonly statement: Statement;
  readonly escape: '\\' | '`';
  readonly heredocs: readonly Heredoc[];
  readonly range: SourceRange;
}

/** An error about the whole instruction. */
export function failure(
  reading: Reading,
  code: DockerfileCode,
  message: string,
  hint?: string,
): KilnError {
  return problem(code, message, placeOf(reading.range), hint);
}

/**
 * `string` takes a value. `strings` takes a value and may be repeated. `boolean` may have no value.
 */
export type FlagKind = 'string' | 'strings' | 'boolean';

export interface FlagValues {
  string(name: string): string | undefined;
  strings(name: string): readonly string[];
  boolean(name: string): boolean | undefined;
  /** The place of the flag's first value, or of the one at `index`. */
  placeOf(name: string, index?: number): Place | undefined;
}

/**
 * Checks an instruction's flags against the known ones. Throws KILN_DOCKERFILE_UNKNOWN_FLAG and
 * KILN_DOCKERFILE_FLAG.
 */
export function readFlags(reading: Reading, known: Readonly<Record<string, FlagKind>>): FlagValues {
  const found = new Map<string, { readonly values: string[]; readonly tokens: FlagToken[] }>();
  for (const token of reading.statement.flags) {
    const value = checkedValue(reading, token, known, found.has(token.name));
    const seen = found.get(token.name);
    if (seen) {
      seen.values.push(value);
      seen.tokens.push(token);
    } else found.set(token.name, { values: [value], tokens: [token] });
  }
  const string = (name: string) => found.get(name)?.values[0];
  return {
    string,
    strings: (name) => found.get(name)?.values ?? [],
    boolean: (name) => (found.has(name) ? string(name) === 'true' : undefined),
    placeOf: (name, index = 0) => {
      const token = found.get(name)?.tokens[index];
      return token && reading.line.placeOf(token.start, token.end);
    },
  };
}

function checkedValue(
  reading: Reading,
  token: FlagToken,
  known: Readonly<Record<string, FlagKind>>,
  seen: boolean,
): string {
  const { name, value } = token;
  const place = reading.line.placeOf(token.start, token.end);
  const kind = Object.hasOwn(known, name) ? known[name] : undefined;
  const keyword = reading.statement.keyword.toUpperCase();
  if (!kind) throw unknownFlag(name, keyword, Object.keys(known), place);
  const bad = (message: string, hint: string) =>
    problem('KILN_DOCKERFILE_FLAG', message, place, hint);
  if (seen && kind !== 'strings')
    throw bad(`duplicate flag specified: --${name}`, `give --${name} once`);
  if (value === undefined && kind === 'boolean') return 'true';
  if (value === undefined || (value === '' && kind === 'boolean'))
    throw bad(`missing a value on flag: --${name}`, `write --${name}=VALUE`);
  if (kind !== 'boolean') return value;
  const lower = value.toLowerCase();
  if (lower === 'true' || lower === 'false') return lower;
  throw bad(
    `expecting boolean value for flag --${name}, not: ${value}`,
    `write --${name} or --${name}=false`,
  );
}

/** Flags that users write at the wrong instruction. */
const FLAGS_OF_OTHERS: Readonly<Record<string, string>> = {
  from: 'COPY',
  parents: 'COPY',
  checksum: 'ADD',
  unpack: 'ADD',
  'keep-git-dir': 'ADD',
  mount: 'RUN',
  network: 'RUN',
  platform: 'FROM',
  interval: 'HEALTHCHECK, in front of CMD',
  chown: 'COPY and ADD',
  chmod: 'COPY and ADD',
};

function unknownFlag(
  name: string,
  keyword: string,
  known: readonly string[],
  place: Place,
): KilnError {
  const near = nearest(name, known) ?? known.find((flag) => flag === name.toLowerCase());
  const flags = known.map((flag) => `--${flag}`).join(' ');
  const others = FLAGS_OF_OTHERS[name];
  const taken = known.length > 0 ? `${keyword} takes ${flags}` : `${keyword} takes no flags`;
  const hint = near
    ? `write --${near}`
    : others
      ? `--${name} is a flag of ${others}; ${taken}`
      : taken;
  return problem(
    'KILN_DOCKERFILE_UNKNOWN_FLAG',
    `unknown flag: --${name}${didYouMean(name, known)}`,
    place,
    hint,
  );
}
