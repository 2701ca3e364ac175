import { didYouMean } from '../../base/suggest.ts';
import { parseBytes } from '../arguments.ts';
import { flagError } from '../flag-error.ts';

/** The keys of `--resource`, and the flags of the same meaning by their names in commander. */
const RESOURCES: ReadonlyMap<string, string> = new Map([
  ['memory', 'memory'],
  ['memory-swap', 'memorySwap'],
  ['cpu-shares', 'cpuShares'],
  ['cpu-period', 'cpuPeriod'],
  ['cpu-quota', 'cpuQuota'],
  ['cpuset-cpus', 'cpusetCpus'],
  ['cpuset-mems', 'cpusetMems'],
]);

const FLAG = '--resource';

/**
 * Reads the values of `--resource`, as buildx does: one `key=value` each, of which the last counts.
 * Returns the texts for the flags of the same meaning. A number that limits nothing (0, or a
 * negative one except swap of -1) is the empty text. Throws KILN_FLAG_VALUE.
 */
export function resourceTexts(specs: readonly string[]): ReadonlyMap<string, string> {
  return new Map(specs.map(textOf));
}

function textOf(spec: string): readonly [flag: string, text: string] {
  const equals = spec.indexOf('=');
  const key = spec.slice(0, Math.max(equals, 0)).trim();
  const value = spec.slice(equals + 1).trim();
  if (key === '')
    throw flagError(
      FLAG,
      `invalid resource ${JSON.stringify(spec)}, expected key=value`,
      'write --resource memory=512m',
    );
  const flag = RESOURCES.get(key);
  if (flag === undefined) {
    const keys = [...RESOURCES.keys()];
    throw flagError(
      FLAG,
      `unknown resource ${JSON.stringify(key)}${didYouMean(key, keys)}`,
      `the resources are ${keys.join(', ')}`,
    );
  }
  return [flag, key.startsWith('cpuset') ? value : limiting(key, value)];
}

/** The number, or '' for one that limits nothing. */
function limiting(key: string, value: string): string {
  if (key === 'memory-swap' && value === '-1') return value;
  if (/^-\d+$/.test(value)) return '';
  const isNumber = key.startsWith('memory') ? isSize(value) : /^\d{1,15}$/.test(value);
  if (!isNumber)
    throw flagError(
      FLAG,
      `invalid value ${JSON.stringify(value)} for resource ${key}`,
      key.startsWith('memory') ? 'write a size such as 512m' : 'write a whole number',
    );
  return /^0+\D*$/.test(value) ? '' : value;
}

function isSize(value: string): boolean {
  try {
    parseBytes(value, FLAG);
    return true;
  } catch {
    return false;
  }
}
