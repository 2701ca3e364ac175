const UNITS = 'kmgtp';

/**
 * A size as Docker's flags take it: `64m`, `1.5g`, `100`, `2KiB`; units count in powers of 1024.
 * Bytes, or undefined.
 */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp])?i?b?$/i.exec(text);
  if (!match) return undefined;
  const unit = match[2]?.toLowerCase();
  return Math.trunc(Number(match[1]) * 1024 ** (unit ? UNITS.indexOf(unit) + 1 : 0));
}
