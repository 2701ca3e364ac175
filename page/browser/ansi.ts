import { visible } from './hostile-text.ts';

/** A piece of a line with one look. */
export interface StyledText {
  readonly text: string;
  /** Names of classes: `bold`, `dim`, `italic`, `underline`, `strike`, `fg-0` … `bg-15`. */
  readonly classes: readonly string[];
  /** Colours that have no class, as CSS: `rgb(1 2 3)`. */
  readonly color?: string;
  readonly background?: string;
}

/** What the escape sequences of a terminal look like (ECMA-48 section 5.4); OSC and the like. */
const SEQUENCE = new RegExp(
  [
    /\u001b\[([0-9:;<=>?]*)([ -/]*)([@-~])/,
    /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?/,
    /\u001b[ -/]*[0-~]/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
);

/** Sequences of a line beyond these are not read. */
const PIECES_LIMIT = 500;

interface Look {
  readonly flags: ReadonlySet<string>;
  readonly fg: Colour | undefined;
  readonly bg: Colour | undefined;
}
/** One of the 16 colours by its number, or CSS. */
type Colour = number | string;

const PLAIN: Look = { flags: new Set(), fg: undefined, bg: undefined };

/**
 * Reads a line of a terminal: colours and weights become classes, every other sequence is dropped.
 * Of a line that was redrawn, only the last text stays.
 */
export function styledPieces(line: string): StyledText[] {
  const text = lastRedraw(line);
  const pieces: StyledText[] = [];
  let look = PLAIN;
  let at = 0;
  const add = (part: string) => {
    if (part !== '') pieces.push(styled(visible(part), look));
  };
  for (const match of text.matchAll(SEQUENCE)) {
    add(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[3] === 'm' && match[2] === '') look = changed(look, match[1] ?? '');
    if (pieces.length >= PIECES_LIMIT) break;
  }
  add(text.slice(at));
  return pieces;
}

/** The text of a line as it is seen, without colours. */
export function seenText(line: string): string {
  return styledPieces(line)
    .map(({ text }) => text)
    .join('');
}

function lastRedraw(line: string): string {
  const whole = line.replace(/\r+$/, '');
  return whole.slice(whole.lastIndexOf('\r') + 1);
}

function styled(text: string, { flags, fg, bg }: Look): StyledText {
  const isTurned = flags.has('inverse');
  const [front, back] = isTurned ? [bg ?? 'canvas', fg ?? 'canvastext'] : [fg, bg];
  const classes = [...flags].filter((flag) => flag !== 'inverse');
  if (typeof front === 'number') classes.push(`fg-${front}`);
  if (typeof back === 'number') classes.push(`bg-${back}`);
  return {
    text,
    classes,
    ...(typeof front === 'string' && { color: front }),
    ...(typeof back === 'string' && { background: back }),
  };
}

const ON: Readonly<Record<number, string>> = {
  1: 'bold',
  2: 'dim',
  3: 'italic',
  4: 'underline',
  7: 'inverse',
  9: 'strike',
};
const OFF: Readonly<Record<number, readonly string[]>> = {
  22: ['bold', 'dim'],
  23: ['italic'],
  24: ['underline'],
  27: ['inverse'],
  29: ['strike'],
};

/** Select Graphic Rendition (ECMA-48 section 8.3.117). */
function changed(look: Look, parameters: string): Look {
  const codes = parameters.split(/[;:]/).map(Number);
  let { flags, fg, bg } = look;
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at]!;
    if (code === 0) [flags, fg, bg] = [PLAIN.flags, undefined, undefined];
    else if (ON[code]) flags = new Set([...flags, ON[code]]);
    else if (OFF[code]) flags = new Set([...flags].filter((flag) => !OFF[code]!.includes(flag)));
    else if (code >= 30 && code <= 37) fg = code - 30;
    else if (code >= 90 && code <= 97) fg = code - 82;
    else if (code === 39) fg = undefined;
    else if (code >= 40 && code <= 47) bg = code - 40;
    else if (code >= 100 && code <= 107) bg = code - 92;
    else if (code === 49) bg = undefined;
    else if (code === 38 || code === 48) {
      const [colour, length] = longColour(codes.slice(at + 1));
      at += length;
      if (code === 38) fg = colour;
      else bg = colour;
    }
  }
  return { flags, fg, bg };
}

/** Reads `5;N` or `2;R;G;B`. Returns the colour and how many codes it took. */
function longColour([kind, ...rest]: readonly number[]): [Colour | undefined, number] {
  const byte = (value: number | undefined) =>
    Number.isInteger(value) && value! >= 0 && value! <= 255 ? value! : 0;
  if (kind === 2) return [`rgb(${byte(rest[0])} ${byte(rest[1])} ${byte(rest[2])})`, 4];
  if (kind !== 5) return [undefined, 1];
  const index = byte(rest[0]);
  if (index < 16) return [index, 2];
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return [`rgb(${grey} ${grey} ${grey})`, 2];
  }
  const level = (value: number) => (value === 0 ? 0 : 55 + value * 40);
  const cube = index - 16;
  const levels = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level);
  return [`rgb(${levels.join(' ')})`, 2];
}
