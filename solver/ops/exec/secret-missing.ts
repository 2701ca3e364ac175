import { KilnError } from '../../../base/errors.ts';

/**
 * The error of a step that needs a secret, as a file or a variable, which the caller does not lend.
 */
export function secretMissing(id: string): KilnError {
  return new KilnError('KILN_SECRET_NOT_FOUND', `secret ${id}: not found`, {
    hint:
      `give it with --secret id=${id},src=FILE or --secret id=${id},env=NAME; the variable of ` +
      'env= must be set',
  });
}
