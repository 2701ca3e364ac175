import { KilnError } from '../../../base/errors.ts';

/**
 * The change of modes by `--chmod`: octal (`755`, `04711`) or symbolic as in chmod(1)
 * (`u=rwX,go-w`, `+x`, `g=u`). No umask applies, as in BuildKit, whose daemon runs without one.
 */
export interface ModeChange {
  /** The mode, if it is octal. It replaces the modes of files and directories alike. */
  readonly absolute: number | undefined;
  /** The new mode of a file whose source has the permission bits `mode` (0o7777). */
  apply(mode: number, isDirectory: boolean): number;
}

/** The change that gives every file and directory the mode `mode`. */
export function absoluteMode(mode: number): ModeChange {
  return { absolute: mode & 0o7777, apply: () => mode & 0o7777 };
}

/** Parses the value of `--chmod`. Throws KILN_BAD_MODE. */
export function parseMode(text: string): ModeChange {
  if (/^[0-7]+$/.test(text) && Number.parseInt(text, 8) <= 0o7777)
    return absoluteMode(Number.parseInt(text, 8));
  const clauses = text.split(',').map((clause) => parseClause(clause, text));
  return {
    absolute: undefined,
    apply: (mode, isDirectory) =>
      clauses.reduce((now, clause) => clause(now, mode, isDirectory), mode & 0o7777),
  };
}

/**
 * Returns the new mode. Takes the mode after the clauses before it, the mode of the source, and
 * whether the file is a directory.
 */
type Clause = (now: number, source: number, isDirectory: boolean) => number;

function parseClause(clause: string, whole: string): Clause {
  const found = /^([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)$/.exec(clause);
  if (!found) {
    throw new KilnError('KILN_BAD_MODE', `invalid file mode ${JSON.stringify(whole)}`, {
      hint: 'write an octal mode such as 755 or a symbolic one such as u=rwX,go=rX',
    });
  }
  const who = found[1]!;
  const steps = found[2]!
    .match(/[-+=][^-+=]*/g)!
    .map((step) => parseStep(who, step[0]!, step.slice(1)));
  return (now, source, isDirectory) =>
    steps.reduce((mode, step) => step(mode, source, isDirectory), now);
}

const CLASS = { u: 0o4700, g: 0o2070, o: 0o0007 } as const;
const COPIES = { u: 6, g: 3, o: 0 } as const;

function parseStep(who: string, op: string, perms: string): Clause {
  const all = who === '' || who.includes('a');
  const mask = all
    ? 0o6777
    : [...who].reduce((bits, name) => bits | CLASS[name as keyof typeof CLASS], 0);
  // The sticky bit belongs to no class. It changes only if `t` is given, and not for `o` alone.
  const sticky = perms.includes('t') && (all || /[ug]/.test(who)) ? 0o1000 : 0;
  return (now, source, isDirectory) => {
    const bits = (permBits(perms, now, source, isDirectory) & mask) | sticky;
    if (op === '+') return now | bits;
    if (op === '-') return now & ~bits;
    return (now & ~mask) | bits;
  };
}

/** The permission bits that `perms` means, for all three classes. */
function permBits(perms: string, now: number, source: number, isDirectory: boolean): number {
  if (perms === 'u' || perms === 'g' || perms === 'o') {
    const bits = (now >> COPIES[perms]) & 7;
    return (bits << 6) | (bits << 3) | bits;
  }
  let bits = 0;
  if (perms.includes('r')) bits |= 0o444;
  if (perms.includes('w')) bits |= 0o222;
  if (perms.includes('x') || (perms.includes('X') && (isDirectory || (source & 0o111) !== 0)))
    bits |= 0o111;
  if (perms.includes('s')) bits |= 0o6000;
  return bits;
}
