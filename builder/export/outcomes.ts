import { KilnError, messageOf } from '../../base/errors.ts';
import { unhandledOsError } from '../../base/oserror.ts';

/**
 * The outcomes of all that a build writes: images, archives, directories, caches. One that fails
 * does not stop the others from being written.
 */
export class Outcomes {
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
   * Throws the first failure, if there is one, with all outcomes as its notes. `notBegun` names
   * what the caller does not do after a failure.
   */
  throwFirst(notBegun: readonly string[]): void {
    if (this.#failures.length === 0) return;
    const error = unhandledOsError(this.#failures[0]);
    const lines = [...this.#lines, ...notBegun.map((name) => `not done: ${name}`)];
    if (!(error instanceof KilnError) || lines.length === 1) throw error;
    throw error.with({ notes: [...error.notes, ...lines] });
  }
}
