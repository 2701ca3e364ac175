/** What was asked once stays the answer: by a name, with or without `pull`. */
export class Answers<T> {
  readonly #answers = new Map<string, Promise<T>>();

  get(name: string, pull: boolean, ask: () => Promise<T>): Promise<T> {
    const key = (pulled: boolean) => `${pulled} ${name}`;
    // What a pull has answered is newer than anything else that could be said.
    const known = this.#answers.get(key(true)) ?? (pull ? undefined : this.#answers.get(key(false)));
    if (known) return known;
    const answer = ask();
    this.#answers.set(key(pull), answer);
    // A failure is not an answer: who asks later asks again.
    answer.catch(() => this.#answers.delete(key(pull)));
    return answer;
  }
}
