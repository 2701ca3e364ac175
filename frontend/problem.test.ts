import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { asBuildKitSays } from './problem.ts';

test('what clients of BuildKit look for is in its words', () => {
  const id = 'a'.repeat(40);
  for (const [code, message, said] of [
    [
      'KILN_GIT_CHECKSUM',
      `v1 of http://h/r.git is ${id}, expected bb`,
      `expected checksum to match bb, got ${id}`,
    ],
    [
      'KILN_GIT_REF',
      'http://h/r.git has no ref refs/heads/x',
      'repository does not contain ref refs/heads/x',
    ],
    ['KILN_ADD_GIT', 'u: there are two refs, a and b', 'u: ref conflicts: "a" vs "b"'],
    [
      'KILN_GIT_CHECKSUM',
      '"foo" is not a commit',
      'invalid checksum "foo" for Git source, expected hex commit hash',
    ],
    [
      'KILN_RUN_MOUNT',
      '--mount=type=tmp: mount type tmp is not known (did you mean tmpfs?)',
      'unsupported mount type "tmp" (did you mean tmpfs?)',
    ],
    [
      'KILN_STAGE_ORDER',
      'stage b comes after stage 0, which copies from it',
      'cannot copy from stage "b", it needs to be defined before current stage "0"',
    ],
    ['KILN_RUN_MOUNT', '--mount=typ=a: typ is not known', "unexpected key 'typ' in 'typ=a'"],
    [
      'KILN_GIT_REF',
      'http://h/r.git has no default branch',
      'http://h/r.git has no default branch',
    ],
  ] as const)
    assert.is(asBuildKitSays(new KilnError(code, message)), said);
});

test.run();
