import { quote } from '../gotext.ts';

/* How Go prints and reads some values that end up in image history. */

/** `%q` of a list of strings: `["a" "b"]`. */
export function quoteList(list: readonly string[]): string {
  return `[${list.map(quote).join(' ')}]`;
}

/** time.Duration's String: `1m30s`, `1.5s`, `300ms`, `0s`. The argument is in nanoseconds. */
export function duration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  const sign = nanoseconds < 0 ? '-' : '';
  const total = Math.abs(nanoseconds);
  if (total < 1e3) return `${sign}${total}ns`;
  if (total < 1e6) return `${sign}${fraction(total, 1e3)}µs`;
  if (total < 1e9) return `${sign}${fraction(total, 1e6)}ms`;
  const minutes = Math.floor(total / 60e9);
  const seconds = `${fraction(total - minutes * 60e9, 1e9)}s`;
  if (minutes === 0) return sign + seconds;
  const hours = Math.floor(minutes / 60);
  return `${sign}${hours > 0 ? `${hours}h` : ''}${minutes % 60}m${seconds}`;
}

function fraction(value: number, unit: number): string {
  const digits = String(unit).length - 1;
  const rest = String(value % unit)
    .padStart(digits, '0')
    .replace(/0+$/, '');
  const whole = Math.floor(value / unit);
  return rest === '' ? String(whole) : `${whole}.${rest}`;
}

/**
 * time.Time as encoding/json writes it, for whole seconds in UTC. The argument is in seconds since
 * 1970.
 */
export function jsonTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

/** strconv.ParseBool. Undefined for an invalid text. */
export function parseBool(text: string): boolean | undefined {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  return undefined;
}

/** strconv.ParseUint of at most 32 bits. Undefined for an invalid text. */
export function parseUint32(text: string, radix: 8 | 10): number | undefined {
  if (!(radix === 8 ? /^[0-7]+$/ : /^[0-9]+$/).test(text)) return undefined;
  const value = Number.parseInt(text, radix);
  return value <= 0xffffffff ? value : undefined;
}
