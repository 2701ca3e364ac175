import type { KilnError } from '../../base/errors.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { isUlimit } from '../../executor/rlimits.ts';
import { flagError } from '../flag-error.ts';

/**
 * Parses the values of `--ulimit`: one limit each, or several with commas as podman has them. Of
 * two values for the same limit the last one is used, as docker does, with a warning. Throws
 * KILN_FLAG_VALUE.
 */
export function parseUlimits(
  specs: readonly string[],
  warn: (sentence: string) => void,
): BuildRequest['ulimits'] {
  const limits = new Map<string, BuildRequest['ulimits'][number]>();
  for (const limit of specs.flatMap((spec) => spec.split(',')).map(parseUlimit)) {
    const earlier = limits.get(limit.name);
    if (earlier && (earlier.soft !== limit.soft || earlier.hard !== limit.hard))
      warn(`--ulimit ${limit.name} is given more than once: the last value is used`);
    limits.set(limit.name, limit);
  }
  return [...limits.values()];
}

/**
 * Parses a value of `--ulimit`: `type=soft[:hard]`. -1 means unlimited. Throws KILN_FLAG_VALUE.
 */
function parseUlimit(spec: string): BuildRequest['ulimits'][number] {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(spec);
  if (!match) throw invalid(spec, '');
  const soft = Number(match[2]);
  const limit = {
    name: match[1] ?? '',
    soft,
    hard: match[3] === undefined ? soft : Number(match[3]),
  };
  if (!isUlimit(limit.name))
    throw invalid(spec, `: ${JSON.stringify(limit.name)} is not a type of ulimit`);
  if (limit.hard >= 0 && (soft < 0 || soft > limit.hard))
    throw invalid(spec, ': the soft limit is above the hard limit');
  return limit;
}

function invalid(spec: string, why: string): KilnError {
  return flagError(
    '--ulimit',
    `invalid ulimit ${JSON.stringify(spec)}${why}`,
    'write type=soft[:hard], such as nofile=1024:4096',
  );
}
