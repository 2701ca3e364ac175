import { SPACE_CLASS } from '../gotext.ts';

const SPACES = new RegExp(`[${SPACE_CLASS}]+`, 'g');

/**
 * Collects words from pieces: unquoted text is split at white space, and any other piece is kept
 * whole.
 */
export class WordList {
  readonly #words: string[] = [];
  #word = '';
  readonly #heredocs: boolean;

  /** With `heredocs`, white space after `<<` is dropped and does not end the word. */
  constructor(heredocs: boolean) {
    this.#heredocs = heredocs;
  }

  add(text: string): void {
    let at = 0;
    for (const { 0: spaces, index } of text.matchAll(SPACES)) {
      this.#word += text.slice(at, index);
      at = index + spaces.length;
      if (this.#heredocs && this.#word.endsWith('<<')) continue;
      this.#end();
    }
    this.#word += text.slice(at);
  }

  addRaw(text: string): void {
    this.#word += text;
  }

  finish(): string[] {
    this.#end();
    return this.#words;
  }

  #end(): void {
    if (this.#word !== '') this.#words.push(this.#word);
    this.#word = '';
  }
}
