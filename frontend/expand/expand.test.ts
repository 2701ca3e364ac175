import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../../base/errors.ts';
import { expandWord, expansionBudget } from './expand.ts';
import { replacePattern, trimPrefix, trimSuffix } from './pattern.ts';

interface Table {
  readonly escape: '\\' | '`';
  readonly environment: Readonly<Record<string, string>>;
  readonly cases: readonly {
    readonly word: string;
    readonly text?: string;
    readonly error?: string;
  }[];
}

/**
 * Docker 28.5's answers: each word was in a USER instruction, the text is from the history, the
 * error from the build.
 */
const tables: readonly Table[] = ['backslash', 'backtick'].map((name) =>
  JSON.parse(readFileSync(join(import.meta.dirname, `cases.${name}.json`), 'utf8')),
);

/**
 * Docker reverses the pattern of `%` before it parses it, and shows it reversed. Kiln shows what
 * was written.
 */
const SAID_DIFFERENTLY = new Set(['${p%a\\bc}']);

for (const { escape: escapeChar, environment, cases } of tables) {
  const env = new Map(Object.entries(environment));
  for (const { word, text, error } of cases) {
    const happens = error ? 'refused' : 'expanded';
    test(`with escape ${escapeChar}, ${JSON.stringify(word)} is ${happens} as by Docker`, () => {
      if (error === undefined) {
        assert.is(expandWord(word, env, { escape: escapeChar }).text, text);
        return;
      }
      try {
        expandWord(word, env, { escape: escapeChar });
      } catch (thrown) {
        const { code, message } = thrown as KilnError;
        assert.ok(
          code === 'KILN_DOCKERFILE_EXPANSION' || code === 'KILN_DOCKERFILE_VARIABLE_REQUIRED',
          code,
        );
        if (!SAID_DIFFERENTLY.has(word)) assert.is(message, error);
        return;
      }
      assert.unreachable(`expected: ${error}`);
    });
  }
}

const env = new Map([
  ['a', '2'],
  ['b', 'two words'],
  ['e', ''],
  ['n', ''],
]);

test('an environment takes the last value of a name, and a name alone as empty', () => {
  assert.is(env.get('a'), '2');
  assert.is(env.get('n'), '');
});

test('words are split at white space that is not quoted, after expansion', () => {
  assert.equal(expandWord('x $b "$b" \'p q\' r\\ s $e "" t', env).words, [
    'x',
    'two',
    'words',
    'two words',
    'p q',
    'r s',
    't',
  ]);
  assert.equal(expandWord('  plain\twords\u00a0too ', env).words, ['plain', 'words', 'too']);
});

test('the result lists the names that were found and not found, even unused ones', () => {
  const { used, unmatched } = expandWord('$a ${x:-$y} ${a:+${z}} "$w" \'$q\'', env);
  assert.equal([...used].sort(), ['a']);
  assert.equal([...unmatched].sort(), ['w', 'x', 'y', 'z']);
});

test('raw quotes and raw escapes stay in the result', () => {
  assert.is(expandWord('"$a" \'$a\' \\$a', env, { rawQuotes: true }).text, '"2" \'$a\' $a');
  assert.is(
    expandWord('"\\$a" \\x "a\\b"', env, { rawQuotes: true, rawEscapes: true }).text,
    '"\\$a" \\x "a\\\\b"',
  );
});

test('an unset variable can stay as written', () => {
  const keep = (word: string) => expandWord(word, env, { keepUnset: true }).text;
  assert.is(
    keep('$a $x ${x} ${x:-w} ${x%"p"} ${x/a/b} ${x//a/b} ${x:?m}'),
    '2 $x ${x} ${x:-w} ${x%p} ${x/a/b} ${x/a/b} ${x:?m}',
  );
});

test('quotes are ordinary characters in the body of a heredoc', () => {
  const body = 'it\'s "$a" \'$b\'\n\\$a ${x:-"d"}\n';
  assert.is(expandWord(body, env, { plainQuotes: true }).text, 'it\'s "2" \'two words\'\n$a "d"\n');
});

test('white space after << belongs to the word in heredoc mode', () => {
  assert.equal(expandWord('cat <<  EOF x', env, { heredocWords: true }).words, [
    'cat',
    '<<EOF',
    'x',
  ]);
});

test('a megabyte of text, variables, quotes or escapes takes linear time, no grammar', () => {
  for (const piece of ['word ', '$a', '${a}', '"q"', "'q'", '\\x', '${a:-b}']) {
    const word = piece.repeat(Math.ceil((piece.includes(':') ? 20_000 : 1_000_000) / piece.length));
    assert.ok(expandWord(word, env).text.length > 0);
  }
});

test('a substitution of many thousand parts is refused without being parsed', () => {
  const word = `\${x:-${'$a'.repeat(10_000)}}`;
  assert.throws(
    () => expandWord(word, env),
    (error: KilnError) => error.code === 'KILN_DOCKERFILE_TOO_COMPLEX',
  );
  const deep = `${'${x:-'.repeat(3000)}${'}'.repeat(3000)}`;
  assert.throws(
    () => expandWord(deep, env),
    (error: KilnError) => error.code === 'KILN_DOCKERFILE_TOO_COMPLEX',
  );
});

test('values that grow with each line, and patterns on long values, are refused early', () => {
  const code = (lines: readonly (readonly [name: string, word: string])[]) => {
    const budget = expansionBudget();
    const variables = new Map<string, string>();
    try {
      for (const [name, word] of lines)
        variables.set(name, expandWord(word, variables, { budget }).text);
    } catch (error) {
      return (error as KilnError).code;
    }
    return 'expanded';
  };
  const begun = process.cpuUsage();
  const long = ['V', 'a'.repeat(100_000)] as const;
  const doubled = Array.from({ length: 60 }, (_, at) => [`A${at + 1}`, `$A${at}$A${at}`] as const);
  for (const lines of [
    [['A0', 'x'] as const, ...doubled],
    [long, ['W', '$V'.repeat(100_000)] as const],
    [long, ['W', `\${V//a/${'b'.repeat(30_000)}}`] as const],
    [long, ['W', `\${V//${'?'.repeat(900)}c/y}`] as const],
    [long, ...Array.from({ length: 1000 }, () => ['W', '${V%?}'] as const)],
  ])
    assert.is(code(lines), 'KILN_DOCKERFILE_TOO_COMPLEX', lines.at(-1)?.join('=').slice(0, 40));
  assert.ok(process.cpuUsage(begun).user < 2_000_000);
  assert.is(code([long, ...Array.from({ length: 100 }, () => ['W', '$V'] as const)]), 'expanded');
});

test('a word that is too long for a message is shortened in it', () => {
  try {
    expandWord(`\${${'x'.repeat(10_000)}`, env);
    assert.unreachable();
  } catch (error) {
    assert.match((error as KilnError).message, /^failed to process "\$\{x+…": [^x]+$/);
    assert.ok((error as KilnError).message.length < 400);
  }
});

const free = () => undefined;

test('patterns that cause backtracking are matched fast', () => {
  const value = 'a'.repeat(5000);
  assert.is(trimPrefix(`${'a*'.repeat(50)}b`, value, true, free), value);
  assert.is(trimSuffix(`b${'*a'.repeat(50)}`, value, false, free), value);
  assert.is(replacePattern('*a*a*a*b', value, 'x', true, free), value);
});

test('wildcards of a pattern do not match a line break', () => {
  assert.is(trimPrefix('*b', 'a\nb', true, free), 'a\nb');
  assert.is(replacePattern('?', 'a\nb', '-', true, free), '-\n-');
});

test.run();
