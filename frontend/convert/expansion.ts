import { type ExpandedText, type ExpandOptions, expandWord } from '../expand/expand.ts';
import type { WordMode, Words } from './words.ts';

/**
 * Word expansion for a Dockerfile with this escape character. In the body of a heredoc the escape
 * is always `\`.
 */
export function wordExpansion(escapeWith: '\\' | '`'): Words {
  const modes: Readonly<Record<WordMode, ExpandOptions>> = {
    plain: { escape: escapeWith },
    name: { escape: escapeWith, rawQuotes: true, keepUnset: true },
    body: { escape: '\\', plainQuotes: true },
  };
  return {
    word: (text, env, mode = 'plain') => {
      const { text: result, used, unmatched }: ExpandedText = expandWord(text, env, modes[mode]);
      return { result, matched: used, unmatched };
    },
    words: (text, env) => expandWord(text, env, modes.plain).words,
  };
}
