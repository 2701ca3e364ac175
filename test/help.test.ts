import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, run } from './rig.ts';

const kiln = (...words: string[]) => run([KILN, ...words]);
const printed = async (...words: string[]) => (await run([KILN, ...words], { expect: 0 })).stdout;

/** Ways to ask for the same help. */
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
  test(`kiln ${words}, however it is asked`, async () => {
    const wanted = await printed(...words.split(' '));
    assert.ok(wanted.length > 5);
    for (const other of others) assert.is(await printed(...other.split(' ')), wanted, other);
  });
}

/** What there is not, and the words that say so. */
const NOT_THERE: readonly (readonly [string, RegExp])[] = [
  ['help nosuch', /nosuch/],
  ['help biuld', /did you mean 'kiln build'/],
  ['biuld', /did you mean 'kiln build'/],
  ['bake', /there is no bake/],
  ['buildx bake', /there is no bake/],
  ['buildx', /build is kiln build/],
  ['buildx create --name x', /there are no builders/],
  ['system prune', /kiln rmi NAME/],
  ['image lss', /did you mean 'kiln image ls'/],
  ['ps', /no containers that stay/],
  ['version foo', /takes no arguments, but got "foo"/],
  ['--version build', /takes no arguments, but got "build"/],
  ['cache lss', /did you mean ls/],
  ['constructor', /unknown command: constructor/],
  ['image constructor', /unknown command: image constructor/],
];

for (const [words, sentence] of NOT_THERE) {
  test(`kiln ${words}: an error that says what there is`, async () => {
    const { code, stdout, stderr } = await kiln(...words.split(' '));
    assert.is(code, 2);
    assert.is(stdout, '');
    assert.match(stderr, sentence);
  });
}

test.run();
