import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../../base/errors.ts';
import { staleGrammars } from '../../scripts/grammar.ts';
import { type GrammarToken, parseExactlyOne } from './exactly-one.ts';
import { grammar as flagRules } from './flag.gen.ts';

test('the committed grammars match their sources', () => {
  assert.equal(staleGrammars(false), [], 'run npm run grammar');
});

const tokens = (types: readonly string[]): GrammarToken[] =>
  types.map((type) => ({ type, value: type, text: type }));

test('tokens that do not match the grammar have no parse', () => {
  assert.is(parseExactlyOne(flagRules, tokens(['text', 'dashes'])), undefined);
});

test('an unfinished sentence has no parse', () => {
  assert.is(parseExactlyOne(flagRules, []), undefined);
});

test('too many tokens are refused before they are parsed', () => {
  const many = tokens(['dashes', ...Array<string>(5000).fill('text')]);
  assert.throws(
    () => parseExactlyOne(flagRules, many),
    (error: KilnError) => error.code === 'KILN_DOCKERFILE_TOO_COMPLEX',
  );
});

test.run();
