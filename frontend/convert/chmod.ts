import { KilnError } from '../../base/errors.ts';

const CLAUSE = /^[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+$/;

/**
 * `--chmod`: an octal number, or clauses as in chmod(1) (`u=rwX,go=rX`). Mode -1 keeps the mode of
 * the source. With `modeStr` the mode does not count and is 0.
 */
export function chmodOf(text: string): { mode: number; modeStr?: string } {
  if (text === '') return { mode: -1 };
  if (/^[0-7]+$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if (mode <= 0o7777) return { mode };
  }
  if (/^[0-9]+$/.test(text)) throw bad(text, 'a number must be octal and at most 7777');
  if (!text.split(',').every((clause) => CLAUSE.test(clause)))
    throw bad(text, 'it is neither octal nor clauses such as u=rw,go=r');
  return { mode: 0, modeStr: text };
}

function bad(text: string, why: string): KilnError {
  return new KilnError(
    'KILN_CHMOD',
    `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
    { hint: `${why}; write --chmod=755 or --chmod=u=rwX,go=rX` },
  );
}
