import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, run } from './rig.ts';

const POLICY = 'package docker\ndefault allow := false\n';
const DOCKERFILE = 'FROM scratch\nCOPY f /\n';

/** The code of the error with which a build ends, or undefined for a build that succeeds. */
async function refusal(rig: Rig, args: readonly string[], stdin?: string | Uint8Array) {
  const options = stdin === undefined ? {} : { stdin };
  const { code, stderr } = await rig.kiln(['build', '--progress=plain', ...args], options);
  return code === 0 ? undefined : stderr;
}

test('a policy beside the Dockerfile is never ignored in silence', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: DOCKERFILE, 'Dockerfile.rego': POLICY, f: '', Other: DOCKERFILE });
  rig.write('c', { 'beside/Own': DOCKERFILE, 'beside/Own.rego': POLICY });
  for (const [args, file] of [
    [['c'], 'c/Dockerfile.rego'],
    [['-f', 'c/beside/Own', 'c'], 'c/beside/Own.rego'],
    [['--check', 'c'], 'c/Dockerfile.rego'],
  ] as const) {
    const stderr = (await refusal(rig, args)) ?? '';
    assert.match(stderr, /KILN_POLICY_UNSUPPORTED/, args.join(' '));
    assert.ok(stderr.includes(file) && stderr.includes('--policy disabled=true'), stderr);
  }
  assert.is(await refusal(rig, ['--policy', 'disabled=true', 'c']), undefined);
  assert.is(await refusal(rig, ['-f', 'c/Other', 'c']), undefined);
  assert.is(await refusal(rig, ['-f', '-', 'c'], DOCKERFILE), undefined);
});

test('a policy in an archive is not ignored either', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: DOCKERFILE, 'Dockerfile.rego': POLICY, f: '' });
  const { stdoutBytes } = await run(['tar', '-C', rig.path('c'), '-c', '.'], { expect: 0 });
  assert.match((await refusal(rig, ['-'], stdoutBytes)) ?? '', /KILN_POLICY_UNSUPPORTED/);
  assert.is(await refusal(rig, ['--policy=disabled=true', '-'], stdoutBytes), undefined);
});

test.run();
