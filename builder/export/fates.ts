import { KilnError, messageOf } from '../../base/errors.ts';
import { untoldOsError } from '../../base/oserror.ts';

/**
 * What became of each thing that a build was to write: images, archives, directories, caches. One
 * that fails keeps no other from being written.
 */
export class Fates {
  readonly #lines: string[] = [];
  readonly #failures: unknown[] = [];

  done(name: string): void {
    this.#lines.push(`done: ${name}`);
  }

  failed(name: string, error: unknown): void {
    this.#lines.push(`not done: ${name}: ${messageOf(error)}`);
    this.#failures.push(error);
  }

  /**
   * Throws the first failure, if there is one, with what became of everything; `left` was not begun
   * for its sake.
   */
  settle(left: readonly string[]): void {
    if (this.#failures.length === 0) return;
    const error = untoldOsError(this.#failures[0]);
    const lines = [...this.#lines, ...left.map((name) => `not done: ${name}`)];
    if (!(error instanceof KilnError) || lines.length === 1) throw error;
    const { code, message, place, hint, exitCode, notes, cause } = error;
    throw new KilnError(code, message, {
      place,
      hint,
      exitCode,
      cause,
      notes: [...notes, ...lines],
    });
  }
}
