import type { Challenge } from './challenge.ts';
import { openRememberedFiles } from './remembered.ts';

/** What a registry wanted for some requests, and a token that anybody gets for them. */
export interface RememberedChallenge {
  /** A Bearer challenge. */
  readonly challenge: Challenge;
  /** A token that was got without a login and can still be used. */
  readonly token?: string | undefined;
}

/**
 * # What registries wanted
 *
 * A registry with a token server answers the first request of every build with 401, and the second
 * one needs a token. With this memory a build asks the token server first, or nobody when a token
 * that it got without a login is still good. It serves requests without a login alone: a login is
 * sent only where the registry has said in the same build that it wants it, and a token that a
 * login has got never leaves the memory of its process.
 */
export interface ChallengeMemory {
  /** `key` names the registry and the scopes. */
  get(key: string): RememberedChallenge | undefined;
  /** Keeps what the registry wants, and a token for `lifetime` milliseconds. */
  put(key: string, challenge: Challenge, token?: string, lifetime?: number): void;
  forget(key: string): void;
}

/** What a registry wanted is believed for a day. */
const MAX_AGE = 86_400_000;
/** Longer texts are not kept. */
const MAX_TEXT = 16 << 10;

/** Keeps a small file for each key in `directory`, which only its owner can read. */
export function openChallengeMemory(directory: string): ChallengeMemory {
  const files = openRememberedFiles(directory);
  return {
    get(key) {
      const { parameters, token, until } = files.read(key) ?? {};
      if (!isTexts(parameters) || files.age(key) > MAX_AGE) return undefined;
      const challenge = { scheme: 'bearer', parameters: new Map(parameters) };
      const left = typeof until === 'number' ? until - Date.now() : 0;
      const isGood = typeof token === 'string' && /^[\x21-\x7e]+$/.test(token);
      // A lifetime that is longer than it can be was written by another clock.
      return { challenge, token: isGood && left > 0 && left <= MAX_AGE ? token : undefined };
    },
    put(key, { parameters }, token, lifetime = 0) {
      const kept = ['realm', 'service', 'scope'].flatMap((name) => {
        const value = parameters.get(name);
        return value === undefined ? [] : [[name, value]];
      });
      const value = {
        parameters: kept,
        ...(token !== undefined && { token, until: Date.now() + lifetime }),
      };
      if (JSON.stringify(value).length <= MAX_TEXT) files.write(key, value);
    },
    forget: (key) => files.remove(key),
  };
}

function isTexts(value: unknown): value is readonly (readonly [string, string])[] {
  return (
    Array.isArray(value) &&
    value.every(
      (pair) =>
        Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string'),
    )
  );
}
