/**
 * Remembers the answer for each name, separately with and without `pull`, so that every question is
 * asked once.
 */
export class Answers<T> {
  readonly #answers = new Map<string, Promise<T>>();

  get(name: string, pull: boolean, ask: () => Promise<T>): Promise<T> {
    const key = (pulled: boolean) => `${pulled} ${name}`;
    // The answer of a pull is newer than any other, so it is used for both kinds of question.
    const known =
      this.#answers.get(key(true)) ?? (pull ? undefined : this.#answers.get(key(false)));
    if (known) return known;
    const answer = ask();
    this.#answers.set(key(pull), answer);
    // A failure is not remembered: the next caller asks again.
    answer.catch(() => this.#answers.delete(key(pull)));
    return answer;
  }
}
