/**
 * Tells the user a sentence. `before` means that it is about the next steps, and that none of them
 * runs before the user is told.
 */
export type WarnUser = (sentence: string, before?: 'steps') => void;

/**
 * What users should know about a host on which sandboxes run. The sandboxes may be those of several
 * users. Each listener is told each sentence once, those that were said before it came included.
 */
export class HostWarnings {
  readonly #said = new Map<string, 'steps' | undefined>();
  readonly #listeners = new Set<WarnUser>();

  readonly warn: WarnUser = (sentence, before) => {
    if (this.#said.has(sentence)) return;
    this.#said.set(sentence, before);
    for (const listener of this.#listeners) listener(sentence, before);
  };

  /** Tells `listener` what was said, and what will be said until the result is disposed. */
  listen(listener: WarnUser): Disposable {
    for (const [sentence, before] of this.#said) listener(sentence, before);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
