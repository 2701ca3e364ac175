/**
 * Parses a whole number as Go's strconv.ParseInt does with base 0, which docker's flags use: `10`,
 * `0x1f`, `0b101`, `0o17`, `017` (octal) and `1_000`. Undefined for anything else, and for a number
 * that JavaScript cannot hold.
 */
export function goInteger(text: string): number | undefined {
  const [, sign, prefix = '', digits = ''] =
    /^([+-]?)(0[xX]_?|0[bB]_?|0[oO]_?|0_?(?=\d))?(\d+(?:_\d+)*|[\da-fA-F]+(?:_[\da-fA-F]+)*)$/.exec(
      text,
    ) ?? [];
  const base = BASES[prefix.toLowerCase().replace('_', '')];
  const plain = digits.replaceAll('_', '');
  if (!base?.digits.test(plain)) return undefined;
  const number = Number.parseInt(plain, base.radix) * (sign === '-' ? -1 : 1);
  return Number.isSafeInteger(number) ? number + 0 : undefined;
}

const BASES: Readonly<Record<string, { readonly radix: number; readonly digits: RegExp }>> = {
  '': { radix: 10, digits: /^\d+$/ },
  '0': { radix: 8, digits: /^[0-7]+$/ },
  '0o': { radix: 8, digits: /^[0-7]+$/ },
  '0b': { radix: 2, digits: /^[01]+$/ },
  '0x': { radix: 16, digits: /^[\da-f]+$/i },
};
