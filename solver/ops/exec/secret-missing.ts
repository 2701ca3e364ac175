import { KilnError } from '../../../base/errors.ts';

/** A secret that a step needs, as a file or a variable, and that the caller does not lend. */
export function secretMissing(id: string): KilnError {
  return new KilnError('KILN_SECRET_NOT_FOUND', `secret ${id}: not found`, {
    hint:
      `give it with --secret id=${id},src=FILE or --secret id=${id},env=NAME; a variable that ` +
      'env= names has to be set',
  });
}
