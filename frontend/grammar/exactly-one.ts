import type { CompiledRules, Grammar } from 'nearley';
import nearley from 'nearley';
import { problem } from '../problem.ts';

/**
 * What a grammar reads: the type in its rules, the value for its actions, and the text as written.
 */
export interface GrammarToken {
  readonly type: string;
  readonly value: string;
  readonly text: string;
}

/**
 * The most tokens in one flag, mount or substitution. Nobody writes that many. The limit bounds the
 * time and memory of the Earley parser (about 5 µs and 1 KB a token), which a hostile file could
 * otherwise exhaust.
 */
const MAX_TOKENS = 4000;

const NO_PARSE = new Error('no parse');

const grammars = new Map<CompiledRules, Grammar>();

function grammarOf(rules: CompiledRules): Grammar {
  let grammar = grammars.get(rules);
  if (!grammar) {
    grammar = nearley.Grammar.fromCompiled(rules);
    grammars.set(rules, grammar);
  }
  return grammar;
}

/**
 * The only parse of `tokens`. Undefined when they do not match the grammar. Throws
 * KILN_DOCKERFILE_TOO_COMPLEX for more than 4,000 tokens. Two parses would be a bug of the grammar,
 * and are reported as one.
 */
export function parseExactlyOne<T>(
  rules: CompiledRules,
  tokens: readonly GrammarToken[],
): T | undefined {
  if (tokens.length > MAX_TOKENS) {
    throw problem(
      'KILN_DOCKERFILE_TOO_COMPLEX',
      `this expression has ${tokens.length} parts, more than ${MAX_TOKENS}`,
      undefined,
    );
  }
  let next = 0;
  const lexer = {
    next: () => tokens[next++],
    reset: () => undefined,
    save: () => ({}),
    // Called when a token matches no rule. Throwing here avoids nearley's report, which prints its
    // whole parse table.
    formatError: () => {
      throw NO_PARSE;
    },
    has: () => true,
  };
  const parser = new nearley.Parser(grammarOf(rules), { lexer: lexer as unknown as nearley.Lexer });
  try {
    parser.feed('');
  } catch (error) {
    if (error === NO_PARSE) return undefined;
    throw error;
  }
  if (parser.results.length > 1)
    throw new Error(
      `grammar ${rules.ParserStart} is ambiguous for ${tokens.map((t) => t.text).join('')}`,
    );
  return parser.results[0] as T | undefined;
}
