import { randomBytes } from 'node:crypto';
import type { BuildResult } from '../../solver/result.ts';

/** The results of one build that its client was told of in errors. */
export class KeptResults {
  readonly #byId = new Map<string, BuildResult>();
  readonly #ids = new Map<BuildResult, string>();

  /** The ID of a result; empty for none. */
  add(result: BuildResult | undefined): string {
    if (!result) return '';
    let id = this.#ids.get(result);
    if (id === undefined) {
      id = randomBytes(12).toString('hex');
      this.#ids.set(result, id);
      this.#byId.set(id, result);
    }
    return id;
  }

  get(id: string): BuildResult | undefined {
    return this.#byId.get(id);
  }
}
