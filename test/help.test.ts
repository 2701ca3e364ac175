import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, run } from './rig.ts';

const kiln = (...words: string[]) => run([KILN, ...words]);
const printed = async (...words: string[]) => (await run([KILN, ...words], { expect: 0 })).stdout;

/** Several ways to ask for the same help. */
const SAME: readonly (readonly [string, readonly string[]])[] = [
  [
    'build --help',
    [
      'help build',
      '--help build',
      '-h build',
      'build -h',
      'build --progress plain --help',
      'help build --help',
    ],
  ],
  ['prune --help', ['help prune', 'help builder prune', 'builder prune --help', 'buildx prune -h']],
  ['images --help', ['help images', 'image ls --help', 'help image ls']],
  ['cache --help', ['help cache', 'cache help', 'cache -h']],
  ['cache ls --help', ['help cache ls', 'cache help ls', 'cache ls -h']],
  ['imagetools --help', ['imagetools help', 'help buildx imagetools']],
  ['imagetools inspect --help', ['manifest inspect --help', 'imagetools help inspect']],
  ['debug --help', ['debug help', 'help debug']],
  ['image --help', ['image help', 'image -h', 'help image']],
  ['image prune --help', ['help image prune', 'image help prune']],
  ['buildx --help', ['buildx -h', 'help buildx', 'buildx help']],
  ['--help', ['help', '-h', 'help help', '--help --help']],
  ['version', ['--version', '-v', 'buildx version']],
];

for (const [words, others] of SAME) {
  test(`kiln ${words}, and other ways to ask for the same help`, async () => {
    const wanted = await printed(...words.split(' '));
    assert.ok(wanted.length > 5);
    for (const other of others) assert.is(await printed(...other.split(' ')), wanted, other);
  });
}

/** Commands that Kiln does not have, and what the error says about each. */
const NOT_THERE: readonly (readonly [string, RegExp])[] = [
  ['help nosuch', /nosuch/],
  ['help biuld', /did you mean 'kiln build'/],
  ['biuld', /did you mean 'kiln build'/],
  ['bake', /Kiln has no bake/],
  ['buildx bake', /Kiln has no bake/],
  ['buildx', /build runs kiln build/],
  ['compose up', /It runs no services/],
  ['container ls', /Kiln keeps no containers/],
  ['stop x', /Kiln keeps no containers/],
  ['buildx inspect other', /there is no builder "other"/],
  ['buildx create --name x', /Kiln has no builders/],
  ['image lss', /did you mean 'kiln image ls'/],
  ['ps', /Kiln keeps no containers/],
  ['version foo', /takes no arguments, but got "foo"/],
  ['--version build', /takes no arguments, but got "build"/],
  ['cache lss', /did you mean ls/],
  ['constructor', /unknown command: constructor/],
  ['image constructor', /unknown command: image constructor/],
];

for (const [words, sentence] of NOT_THERE) {
  test(`kiln ${words}: an error that says what to use instead`, async () => {
    const { code, stdout, stderr } = await kiln(...words.split(' '));
    assert.is(code, 2);
    assert.is(stdout, '');
    assert.match(stderr, sentence);
  });
}

test.run();
