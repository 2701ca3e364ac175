/** What word expansion may look up. */
export interface Env {
  get(name: string): string | undefined;
  keys(): Iterable<string>;
}

/** A word with its variables replaced, and which of them were known. */
export interface ExpandedWord {
  readonly result: string;
  readonly matched: ReadonlySet<string>;
  readonly unmatched: ReadonlySet<string>;
}

/**
 * How a word is read. `plain`: quotes are taken off, an unknown variable is empty. `name`: for
 * showing an instruction: quotes stay and so does an unknown variable. `body`: the body of a
 * heredoc, where quotes are ordinary characters.
 */
export type WordMode = 'plain' | 'name' | 'body';

/** Word expansion for the escape character of one Dockerfile. Throws KilnErrors without a place. */
export interface Words {
  word(text: string, env: Env, mode?: WordMode): ExpandedWord;
  /** Like `word`, then split at white space outside quotes. */
  words(text: string, env: Env): readonly string[];
}

export const emptyEnv: Env = { get: () => undefined, keys: () => [] };
