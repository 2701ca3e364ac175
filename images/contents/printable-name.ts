/** What `decodeName` makes of bytes that are no UTF-8. */
const ODD_BYTES = /[\udc80-\udcff]/g;

/**
 * A name or path of an image as well-formed text: a byte that is no UTF-8 becomes `\xff`. Control
 * characters stay, and are escaped where the text is shown.
 */
export function printableName(name: string): string {
  if (name.isWellFormed()) return name;
  const pairs = /[\ud800-\udbff][\udc00-\udfff]/g;
  // Halves of a pair are no bytes.
  const parts = name.split(pairs);
  const whole = name.match(pairs) ?? [];
  return parts
    .map((part, at) => part.replace(ODD_BYTES, shownByte) + (whole[at] ?? ''))
    .join('')
    .toWellFormed();
}

function shownByte(odd: string): string {
  return `\\x${(odd.charCodeAt(0) - 0xdc00).toString(16)}`;
}
