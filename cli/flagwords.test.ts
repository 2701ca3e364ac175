import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { Command, collect, newCommand, parseArguments, type ReadingFlags } from './arguments.ts';
import { readFlagWords } from './flagwords.ts';

const command = () =>
  new Command('x')
    .option('-t, --tag <name>', 'several', collect)
    .option('-f, --file <path>', 'one')
    .option('-q, --quiet', 'a switch')
    .option('--no-cache', 'a switch that negates')
    .option('--nocache-filter <stages>', 'goes by another name inside', collect);

/**
 * What is written, and what commander sees of it. The left side is what Go's pflag takes, which
 * Docker's command line is made with.
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

for (const [written, seen] of ROWS) {
  test(`${written} is ${seen || 'nothing'}`, () => {
    assert.is(readFlagWords(command(), written.split(' '), false).words.join(' '), seen);
  });
}

test('a switch takes no other value than those of true and false', () => {
  for (const word of ['-q=yes', '--quiet=no', '--no-cache=2', '--quiet=']) {
    assert.throws(
      () => readFlagWords(command(), [word], false),
      (error: unknown) =>
        error instanceof KilnError && error.code === 'KILN_USAGE' && error.exitCode === 2,
    );
  }
});

test("what follows the first argument is left alone in another program's command line", () => {
  const { words } = readFlagWords(
    command(),
    ['-q=1', 'image', 'ls', '-t=x', '--quiet=false'],
    true,
  );
  assert.equal(words, ['--quiet', 'image', 'ls', '-t=x', '--quiet=false']);
});

test('two values for a flag that counts once are reported; equal values and lists are not', () => {
  const told = (...words: string[]) => readFlagWords(command(), words, false).repeated;
  assert.equal(told('-f', 'a', '--file=b', '-t', 'a', '-t', 'b'), ['--file']);
  assert.equal(told('-f', 'a', '-fa'), []);
});

function parsed(
  words: readonly string[],
  reading: ReadingFlags,
): { readonly warnings: string[]; readonly file: unknown } {
  const warnings: string[] = [];
  const own = newCommand('x', 'x')
    .option('-f, --file <path>', 'one')
    .option('-t, --tag <name>', 'several', collect);
  parseArguments(own, words, { ...reading, warn: (sentence) => void warnings.push(sentence) });
  return { warnings, file: own.opts()['file'] };
}

test('an empty value is refused, or counts as not given, which is told', () => {
  assert.throws(() => parsed(['--file='], {}), /--file has an empty value/);
  const { warnings, file } = parsed(['--file', ''], { empty: 'not given' });
  assert.is(file, undefined);
  assert.match(warnings.join(), '--file has an empty value');
  assert.equal(parsed(['--file='], { mayBeEmpty: new Set(['--file']) }), {
    warnings: [],
    file: '',
  });
});

test('a flag given twice with different values is told', () => {
  assert.match(
    parsed(['-f', 'a', '-f', 'b'], {}).warnings.join(),
    /--file is given more than once/,
  );
});

test.run();
