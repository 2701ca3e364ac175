/** Text from somebody else without control characters, cut to one line of 300 characters. */
export function printable(text: string): string {
  return text
    .replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ')
    .trim()
    .slice(0, 300);
}
