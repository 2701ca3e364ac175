/** The variables that word expansion may look up. */
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
 * How a word is read. `plain`: quotes are removed, and an unknown variable is empty. `name`, for
 * showing an instruction: quotes and unknown variables are kept. `body`, for the body of a heredoc:
 * quotes are ordinary characters.
 */
export type WordMode = 'plain' | 'name' | 'body';

/** Word expansion for the escape character of one Dockerfile. Throws KilnErrors without a place. */
export interface Words {
  word(text: string, env: Env, mode?: WordMode): ExpandedWord;
  /** Like `word`, then split at white space outside quotes. */
  words(text: string, env: Env): readonly string[];
}

export const emptyEnv: Env = { get: () => undefined, keys: () => [] };
