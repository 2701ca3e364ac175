import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import {
  Command,
  collect,
  newCommand,
  type ParseArgumentsOptions,
  parseArguments,
} from './arguments.ts';
import { readFlagWords } from './flagwords.ts';

const command = () =>
  new Command('x')
    .option('-t, --tag <name>', 'several values', collect)
    .option('-f, --file <path>', 'one value')
    .option('-q, --quiet', 'boolean')
    .option('--no-cache', 'boolean, negated')
    .option('--nocache-filter <stages>', 'has another name in commander', collect);

/**
 * Words that the user writes, and what commander gets. Go's pflag, which parses Docker's command
 * line, accepts the left side.
 */
const ROWS: readonly (readonly [string, string])[] = [
  ['-t a', '--tag=a'],
  ['-ta', '--tag=a'],
  ['-t=a', '--tag=a'],
  ['-t=', '--tag=='],
  ['-t=a=b', '--tag=a=b'],
  ['-t -a', '--tag=-a'],
  ['-t --file', '--tag=--file'],
  ['--tag a', '--tag=a'],
  ['--tag=a', '--tag=a'],
  ['--tag=', '--tag='],
  ['--tag a=b --tag c', '--tag=a=b --tag=c'],
  ['-q', '--quiet'],
  ['-q=true', '--quiet'],
  ['-q=T', '--quiet'],
  ['-q=0', ''],
  ['--quiet=false', ''],
  ['--quiet --quiet=false', ''],
  ['--quiet=false --quiet', '--quiet'],
  ['-qta', '--quiet --tag=a'],
  ['-qt=a', '--quiet --tag=a'],
  ['-qt a', '--quiet --tag=a'],
  ['-tqa', '--tag=qa'],
  ['-qq', '--quiet'],
  ['-qh', '--quiet -h'],
  ['-q=', '--quiet -='],
  ['-qz', '--quiet -z'],
  ['-z', '-z'],
  ['-zq', '-zq'],
  ['--zeta=1', '--zeta=1'],
  ['--no-cache=true', '--no-cache'],
  ['--no-cache=false', ''],
  ['--no-cache-filter a --no-cache-filter=b', '--nocache-filter=a --nocache-filter=b'],
  ['-t --no-cache-filter=x', '--tag=--no-cache-filter=x'],
  ['. -q -t a', '--quiet . --tag=a'],
  ['- -q', '--quiet -'],
  ['-- -q --quiet=no', '-- -q --quiet=no'],
  ['-t', '-t'],
  ['--tag', '--tag'],
];

for (const [written, rewritten] of ROWS) {
  test(`${written} is read as ${rewritten || 'nothing'}`, () => {
    assert.is(readFlagWords(command(), written.split(' '), false).words.join(' '), rewritten);
  });
}

test('a boolean flag with a value that is not a boolean is refused', () => {
  for (const word of ['-q=yes', '--quiet=no', '--no-cache=2', '--quiet=']) {
    assert.throws(
      () => readFlagWords(command(), [word], false),
      (error: unknown) =>
        error instanceof KilnError && error.code === 'KILN_USAGE' && error.exitCode === 2,
    );
  }
});

test('words after the first argument are left alone when they belong to another program', () => {
  const { words } = readFlagWords(
    command(),
    ['-q=1', 'image', 'ls', '-t=x', '--quiet=false'],
    true,
  );
  assert.equal(words, ['--quiet', 'image', 'ls', '-t=x', '--quiet=false']);
});

test('a flag with one value that is given two different ones is reported, a list is not', () => {
  const repeated = (...words: string[]) => readFlagWords(command(), words, false).repeated;
  assert.equal(repeated('-f', 'a', '--file=b', '-t', 'a', '-t', 'b'), ['--file']);
  assert.equal(repeated('-f', 'a', '-fa'), []);
});

function parsed(
  words: readonly string[],
  options: ParseArgumentsOptions,
): { readonly warnings: string[]; readonly file: unknown } {
  const warnings: string[] = [];
  const parsing = newCommand('x', 'x')
    .option('-f, --file <path>', 'one value')
    .option('-t, --tag <name>', 'several values', collect);
  parseArguments(parsing, words, { ...options, warn: (sentence) => void warnings.push(sentence) });
  return { warnings, file: parsing.opts()['file'] };
}

test('an empty value is refused, or ignored with a warning', () => {
  assert.throws(() => parsed(['--file='], {}), /--file has an empty value/);
  const { warnings, file } = parsed(['--file', ''], { empty: 'ignored' });
  assert.is(file, undefined);
  assert.match(warnings.join(), '--file has an empty value');
  assert.equal(parsed(['--file='], { mayBeEmpty: new Set(['--file']) }), {
    warnings: [],
    file: '',
  });
});

test('a flag that is given twice with different values gives a warning', () => {
  assert.match(
    parsed(['-f', 'a', '-f', 'b'], {}).warnings.join(),
    /--file is given more than once/,
  );
});

test.run();
