import {
  type ExpandedText,
  type ExpandOptions,
  expandWord,
  expansionBudget,
} from '../expand/expand.ts';
import type { WordMode, Words } from './words.ts';

/**
 * Word expansion for a Dockerfile with this escape character. In the body of a heredoc the escape
 * is always `\`. All words have one budget together.
 */
export function wordExpansion(escapeWith: '\\' | '`'): Words {
  const budget = expansionBudget();
  const modes: Readonly<Record<WordMode, ExpandOptions>> = {
    plain: { escape: escapeWith, budget },
    name: { escape: escapeWith, rawQuotes: true, keepUnset: true, budget },
    body: { escape: '\\', plainQuotes: true, budget },
  };
  return {
    word: (text, env, mode = 'plain') => {
      const { text: result, used, unmatched }: ExpandedText = expandWord(text, env, modes[mode]);
      return { result, matched: used, unmatched };
    },
    words: (text, env) => expandWord(text, env, modes.plain).words,
  };
}
