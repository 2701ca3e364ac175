/**
 * # Untrusted text on a terminal
 *
 * Names of steps, their output, labels of images and responses of registries may contain control
 * characters. A terminal would execute them: move the cursor, hide lines, change its title or
 * write to the clipboard. So all text for a terminal goes through one of these functions
 * (`cli/output.ts`). They replace a control character by text: `^[` for ESC, `\u009b` for a C1
 * control.
 */

/**
 * The C0 control characters except tab and line feed, DEL, the C1 control characters, the Unicode
 * line separators, and the characters that change the direction of writing.
 */
const CONTROLS =
  /\r\n|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/** Select Graphic Rendition (ECMA-48 §8.3.117): colours and weights. */
const SGR = /\u001b\[[0-9;:]*m/g;
/** The parameter 8 hides text. As part of a colour, as in `38;5;8`, it does not. */
const CONCEALS = /(?:^|;)0*8(?:;|$)/;
const COLORS = /(?:^|;)[345]8;(?:5;\d*|2;\d*;\d*;\d*)/g;
const RESET = '\u001b[0m';

/**
 * Returns the text with each control character replaced by visible text. Keeps line feeds and tabs.
 * CR LF becomes LF.
 */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, shown);
}

/**
 * As `escapeControls`, but keeps colours, for the output of steps. A colour that is still set at
 * the end of the text is reset.
 */
export function escapeKeepingColors(text: string): string {
  let colored = false;
  let out = '';
  let at = 0;
  for (const match of text.matchAll(SGR)) {
    out += escapeControls(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (CONCEALS.test(match[0].slice(2, -1).replace(COLORS, ''))) continue;
    out += match[0];
    colored = !/\[0*m$/.test(match[0]);
  }
  out += escapeControls(text.slice(at));
  if (!colored) return out;
  return out.endsWith('\n') ? `${out.slice(0, -1)}${RESET}\n` : out + RESET;
}

/** As `escapeControls`, but removes colours, for a terminal without colours. */
export function escapeDroppingColors(text: string): string {
  return escapeControls(text.replace(SGR, ''));
}

/** As `escapeControls`, but joins the lines of the text to one line. */
export function oneLine(text: string): string {
  return escapeControls(text).replace(/\s*\n\s*/g, ' ');
}

/** The control strings of a terminal (title, clipboard, hyperlink). They end with BEL or ST. */
const STRINGS = /(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?/g;
const SEQUENCES = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]?|\u001b[ -/]*[0-~]?/g;

/**
 * Returns the line as plain text: without escape sequences, and with spaces instead of tabs. Of a
 * line that was redrawn, it returns only the last text.
 */
export function plainLine(line: string): string {
  return lastRedraw(line)
    .replace(STRINGS, '')
    .replace(SEQUENCES, '')
    .replace(CONTROLS, '')
    .replace(/\t/g, '    ');
}

/** What takes the cursor to the first column: a carriage return, or CHA (ECMA-48 section 8.3.9). */
const TO_FIRST_COLUMN = /\r|\u001b\[[01]?G/;

/** Returns the last text of a line that was redrawn from its first column, as bars are. */
export function lastRedraw(line: string): string {
  const texts = line.split(TO_FIRST_COLUMN);
  // Some bars return at their end, so what follows is still empty.
  while (texts.length > 1 && texts.at(-1) === '') texts.pop();
  return texts.at(-1) ?? '';
}

function shown(control: string): string {
  if (control === '\r\n') return '\n';
  const code = control.charCodeAt(0);
  if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
  return code === 0x7f ? '^?' : `\\u${code.toString(16).padStart(4, '0')}`;
}
