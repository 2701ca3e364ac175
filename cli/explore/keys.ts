/** A key, or a piece of text that was typed or pasted. */
export type Key =
  | { readonly kind: 'key'; readonly name: KeyName }
  | { readonly kind: 'text'; readonly text: string };

export type KeyName =
  | 'up'
  | 'down'
  | 'left'
  | 'right'
  | 'home'
  | 'end'
  | 'page-up'
  | 'page-down'
  | 'tab'
  | 'enter'
  | 'escape'
  | 'backspace'
  | `ctrl-${string}`;

/** Sequences of xterm and those like it (invisible-island.net/xterm/ctlseqs, PC-Style keys). */
const SEQUENCES: Readonly<Record<string, KeyName>> = {
  A: 'up',
  B: 'down',
  C: 'right',
  D: 'left',
  H: 'home',
  F: 'end',
  '1~': 'home',
  '4~': 'end',
  '5~': 'page-up',
  '6~': 'page-down',
  '7~': 'home',
  '8~': 'end',
  Z: 'tab',
};
const CONTROLS: Readonly<Record<string, KeyName>> = {
  '\t': 'tab',
  '\r': 'enter',
  '\n': 'enter',
  '\u0000': 'ctrl-space',
  '\b': 'backspace',
  '\u007f': 'backspace',
  '\u001f': 'ctrl-/',
};
/** An escape sequence, a control character, or text. */
const TOKEN = new RegExp(
  [
    String.raw`\u001b\[([0-9;]*[~A-Za-z])`,
    String.raw`\u001bO([A-Za-z])`,
    String.raw`\u001b[^\u001b]?`,
    String.raw`[\u0000-\u001f\u007f]`,
    String.raw`[^\u0000-\u001f\u007f]+`,
  ].join('|'),
  'g',
);

/** The keys in what a terminal sent. Sequences that mean nothing here are left out. */
export function keysIn(input: string): Key[] {
  const keys: Key[] = [];
  for (const [token, sequence, shifted] of input.matchAll(TOKEN)) {
    const name = nameOf(token, sequence ?? shifted);
    if (name !== undefined) keys.push({ kind: 'key', name });
    else if (token >= ' ' && token !== '\u007f') keys.push({ kind: 'text', text: token });
  }
  return keys;
}

function nameOf(token: string, sequence: string | undefined): KeyName | undefined {
  if (sequence !== undefined) return SEQUENCES[sequence.replace(/^1;\d+(?=[A-Z])/, '')];
  if (token === '\u001b') return 'escape';
  const code = token.charCodeAt(0);
  if (token.length > 1 || (code >= 0x20 && code !== 0x7f)) return undefined;
  return CONTROLS[token] ?? (`ctrl-${String.fromCharCode(code + 0x60)}` as KeyName);
}
