import type { Random } from '../../base/testing/random.ts';

/** The names of variables in ARG, ENV and expansions. */
export const NAMES = ['A', 'B', 'C', 'PATH_ISH', 'EMPTY', 'UNSET'] as const;

const PLAIN = [
  'x',
  'val',
  'two-words',
  'a.b',
  'dir',
  'sub',
  '1',
  '0',
  'é',
  'x/y',
  'a=b',
  'UPPER',
  '#',
  '*',
  '~',
  '%',
  '@',
  '+',
];
const ESCAPES = ['\\$', '\\"', "\\'", '\\\\', '\\a', '$1', '`', '#', "''"];
const BROKEN = ['$', '${', '}', '"', "'", '$$', '${A', '\\'];
const PATTERNS = ['*', '?', 'a*', '*/', '.*', '[ab]', 'x', '/', '\\*', '**'];

/** Makes a word with expansions, quotes and escapes. It is often invalid. */
export function word(random: Random, depth = 0): string {
  const piece = (): string => {
    switch (random.int(depth > 1 ? 6 : 11)) {
      case 0:
      case 1:
      case 2:
        return random.pick(PLAIN);
      case 3:
        return `$${random.pick(NAMES)}`;
      case 4:
        return `\${${random.pick(NAMES)}}`;
      case 5:
        return random.mostly(ESCAPES, BROKEN);
      case 6:
        return `"${word(random, depth + 1)}${random.one(2) ? ` ${word(random, depth + 1)}` : ''}"`;
      case 7:
        return `'${random.pick(PLAIN)} $${random.pick(NAMES)}'`;
      case 8:
        return (
          `\${${random.pick(NAMES)}${random.pick([':-', '-', ':+', '+'])}` +
          `${word(random, depth + 1)}}`
        );
      case 9:
        return (
          `\${${random.pick(NAMES)}${random.pick(['#', '##', '%', '%%'])}` +
          `${random.pick(PATTERNS)}}`
        );
      default:
        return (
          `\${${random.pick(NAMES)}${random.pick(['/', '//'])}` +
          `${random.pick(PATTERNS)}/${random.one(3) ? '' : random.pick(PLAIN)}}`
        );
    }
  };
  return random.some(1, depth === 0 ? 3 : 2, piece).join('');
}

/** Makes a value. It is mostly a plain word, so that builds get past their first instruction. */
export function value(random: Random): string {
  return random.one(2) ? random.pick(PLAIN) : word(random);
}
