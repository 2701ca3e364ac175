/** What a colour is for. `dim` is the output of steps. */
export type Hue = 'run' | 'cancel' | 'error' | 'warning' | 'dim' | 'none';
/** The parameters of Select Graphic Rendition (ECMA-48 section 8.3.117) for each use. */
export type Colors = Readonly<Record<Exclude<Hue, 'none'>, string>>;

const USUAL: Colors = { run: '36', cancel: '33', error: '31', warning: '33', dim: '2' };
const SETTABLE: readonly string[] = ['run', 'cancel', 'error', 'warning'];
/** Terminals with 256 colours have a cube of them, with six steps of red, green and blue each. */
const CUBE_STEP = 51;
const NAMES = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];

/**
 * Returns the colours that BUILDKIT_COLORS sets, as buildx reads it: `run=green:error=255,165,0`,
 * with the names of colours or red, green and blue from 0 to 255. As in buildx, a part that is
 * something else has no effect.
 */
export function colorsFrom(text: string | undefined): Colors {
  const colors: Record<string, string> = { ...USUAL };
  for (const part of (text ?? '').split(':')) {
    const [use = '', value = ''] = part.split('=', 2).map((word) => word.trim().toLowerCase());
    const color = colorOf(value);
    if (SETTABLE.includes(use) && color !== undefined) colors[use] = color;
  }
  return colors as Colors;
}

function colorOf(value: string): string | undefined {
  if (value === 'default') return '39';
  const light = value.startsWith('light-');
  const at = NAMES.indexOf(light ? value.slice('light-'.length) : value);
  if (at >= 0) return String((light ? 90 : 30) + at);
  const parts = value.split(',');
  if (parts.length !== 3 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255))
    return undefined;
  const [red = 0, green = 0, blue = 0] = parts.map((part) => Math.round(Number(part) / CUBE_STEP));
  return `38;5;${16 + 36 * red + 6 * green + blue}`;
}
