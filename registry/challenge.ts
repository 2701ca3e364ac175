/** One challenge of a WWW-Authenticate header (RFC 9110, 11.6.1). Names are lower-case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;

/**
 * Parses all challenges of a header. It stops without an error at the first part that it cannot
 * read.
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const skip = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.exec(header);
    if (found) at = pattern.lastIndex;
    return found;
  };
  for (;;) {
    skip(/[\s,]*/y);
    const word = skip(TOKEN)?.[0];
    if (word === undefined) return challenges;
    const current = challenges.at(-1);
    if (current && skip(/\s*=\s*/y)) {
      const value = skip(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') ?? skip(TOKEN)?.[0];
      if (value === undefined) return challenges;
      current.parameters.set(word.toLowerCase(), value);
    } else {
      challenges.push({ scheme: word.toLowerCase(), parameters: new Map() });
    }
  }
}
