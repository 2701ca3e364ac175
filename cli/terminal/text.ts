/**
 * # Text of others on a terminal
 *
 * Names of steps, their output, labels of images and answers of registries may hold control
 * characters. A terminal obeys those: it would move the cursor, hide lines, change its title or
 * fill the clipboard. What is written to a terminal therefore goes through one of these functions
 * (`cli/output.ts`). Control characters come out as text: `^[` for ESC, `\u009b` for a C1 control.
 */

/**
 * C0 but tab and line feed, DEL, C1, line separators, and the marks that change the direction of
 * writing.
 */
const CONTROLS =
  /\r\n|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/** Select Graphic Rendition (ECMA-48 §8.3.117): colours and weights. */
const SGR = /\u001b\[[0-9;:]*m/g;
/** Parameter 8 hides text; in the number of a colour (`38;5;8`) it does not. */
const CONCEALS = /(?:^|;)0*8(?:;|$)/;
const COLORS = /(?:^|;)[345]8;(?:5;\d*|2;\d*;\d*;\d*)/g;
const RESET = '\u001b[0m';

/** The text with all control characters shown. Line feeds and tabs stay; CR LF becomes LF. */
export function visible(text: string): string {
  return text.replace(CONTROLS, shown);
}

/** As `visible`, but colours go through, and end with the text. For the output of steps. */
export function styled(text: string): string {
  let colored = false;
  let out = '';
  let at = 0;
  for (const match of text.matchAll(SGR)) {
    out += visible(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (CONCEALS.test(match[0].slice(2, -1).replace(COLORS, ''))) continue;
    out += match[0];
    colored = !/\[0*m$/.test(match[0]);
  }
  out += visible(text.slice(at));
  if (!colored) return out;
  return out.endsWith('\n') ? `${out.slice(0, -1)}${RESET}\n` : out + RESET;
}

/** As `visible`, without the colours: for a terminal that has none. */
export function unstyled(text: string): string {
  return visible(text.replace(SGR, ''));
}

/** As `visible`, on one line. */
export function oneLine(text: string): string {
  return visible(text).replace(/\s*\n\s*/g, ' ');
}

/** A string that a terminal acts on: title, clipboard, hyperlink. It ends with BEL or ST. */
const STRINGS = /(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?/g;
const SEQUENCES = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]?|\u001b[ -/]*[0-~]?/g;

/**
 * A line as it would stand on a terminal: no escape sequences, tabs as spaces, only what follows
 * the last carriage return.
 */
export function cleanLine(line: string): string {
  return afterReturn(line)
    .replace(STRINGS, '')
    .replace(SEQUENCES, '')
    .replace(CONTROLS, '')
    .replace(/\t/g, '    ');
}

/** What stands on a line that was redrawn with carriage returns. */
export function afterReturn(line: string): string {
  return line.replace(/\r+$/, '').split('\r').at(-1) ?? '';
}

function shown(control: string): string {
  if (control === '\r\n') return '\n';
  const code = control.charCodeAt(0);
  if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
  return code === 0x7f ? '^?' : `\\u${code.toString(16).padStart(4, '0')}`;
}
