import { quote } from './gotext.ts';

/** Nanoseconds in each unit of Go's time.ParseDuration. */
const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** The largest duration, 2^63 − 1 ns: about 292 years. */
const MAX = (1n << 63n) - 1n;

/** Why a duration is not valid. The text is Go's. */
export class DurationError extends Error {}

/**
 * Parses `1h30m`, `1.5s`, `-300ms` to nanoseconds, rounded towards zero. `0` needs no unit. Throws
 * DurationError.
 */
export function parseGoDuration(text: string): bigint {
  const invalid = () => new DurationError(`time: invalid duration ${quote(text)}`);
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  let rest = text.slice(sign.length);
  if (rest === '0') return 0n;
  if (rest === '') throw invalid();
  let total = 0n;
  while (rest !== '') {
    const part = /^(\d*)(?:\.(\d*))?/.exec(rest)!;
    const [number, whole = '', fraction = ''] = part;
    if (whole === '' && fraction === '') throw invalid();
    rest = rest.slice(number.length);
    const unit = /^[^.\d]*/.exec(rest)![0];
    rest = rest.slice(unit.length);
    if (unit === '') throw new DurationError(`time: missing unit in duration ${quote(text)}`);
    const scale = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
    if (scale === undefined)
      throw new DurationError(`time: unknown unit ${quote(unit)} in duration ${quote(text)}`);
    if (whole.length > 20) throw invalid();
    const digits = fraction.slice(0, 18);
    total +=
      BigInt(whole || '0') * scale + (BigInt(digits || '0') * scale) / 10n ** BigInt(digits.length);
    if (total > MAX) throw invalid();
  }
  return sign === '-' ? -total : total;
}
