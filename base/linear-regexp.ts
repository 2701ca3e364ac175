import { setFlagsFromString } from 'node:v8';

let isEnabled = false;

/**
 * A regular expression whose search takes time linear in the text, whatever the pattern is: for
 * patterns that others send. Like RE2 of Go it has no references to groups and no look-around.
 * Throws SyntaxError for a pattern that needs more, and for a wrong one.
 */
export function linearRegExp(pattern: string): RegExp {
  if (!isEnabled) setFlagsFromString('--enable-experimental-regexp-engine');
  isEnabled = true;
  return new RegExp(pattern, 'l');
}
