/**
 * Shows a warning to the user. With `before`, the warning is about the next steps, and must be
 * shown before the first of them runs.
 */
export type WarnUser = (sentence: string, before?: 'steps') => void;

/**
 * The warnings about a host on which sandboxes run. Several builds may listen. Each listener gets
 * each warning once, also those from before it began to listen.
 */
export class HostWarnings {
  readonly #warnings = new Map<string, 'steps' | undefined>();
  readonly #listeners = new Set<WarnUser>();

  readonly warn: WarnUser = (sentence, before) => {
    if (this.#warnings.has(sentence)) return;
    this.#warnings.set(sentence, before);
    for (const listener of this.#listeners) listener(sentence, before);
  };

  /** Gives `listener` all warnings so far, and further ones until the result is disposed. */
  listen(listener: WarnUser): Disposable {
    for (const [sentence, before] of this.#warnings) listener(sentence, before);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
