import { constants } from 'node:os';

/**
 * The number of a signal that is given as a number, a name, or a name with `SIG`. Undefined for
 * other texts. Linux has the real-time signals 34 to 64.
 */
export function signalNumber(text: string): number | undefined {
  if (/^[+-]?\d+$/.test(text)) return Number(text) > 0 ? Number(text) : undefined;
  const name = text.toUpperCase().replace(/^SIG/, '');
  const known: Readonly<Record<string, number>> = constants.signals;
  const found = known[`SIG${name}`] ?? { CLD: 17, EMT: 7, UNUSED: 31 }[name];
  if (found !== undefined) return found;
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (!realTime) return undefined;
  const [, end, sign, offset = '0'] = realTime;
  if (sign === (end === 'MIN' ? '-' : '+')) return undefined;
  const value = end === 'MIN' ? 34 + Number(offset) : 64 - Number(offset);
  return value >= 34 && value <= 64 ? value : undefined;
}
