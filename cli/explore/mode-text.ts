import type { ContentsKind } from '../../images/contents/contents.ts';

const TYPES: Readonly<Record<ContentsKind, string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  char: 'c',
  block: 'b',
  fifo: 'p',
};

/** A mode as ls(1) shows it, such as `-rwxr-xr-x`, with the type of the file where it is given. */
export function modeText(mode: number, type?: ContentsKind): string {
  const triple = (shift: number, special: number, letter: string) => {
    const bits = mode >> shift;
    const runs = (bits & 1) !== 0;
    const last = (mode & special) === 0 ? (runs ? 'x' : '-') : runs ? letter : letter.toUpperCase();
    return `${(bits & 4) !== 0 ? 'r' : '-'}${(bits & 2) !== 0 ? 'w' : '-'}${last}`;
  };
  const text = triple(6, 0o4000, 's') + triple(3, 0o2000, 's') + triple(0, 0o1000, 't');
  return (type === undefined ? '' : TYPES[type]) + text;
}
