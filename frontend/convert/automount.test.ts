import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseDockerfile } from '../parse.ts';
import { withAutomounts } from './automount.ts';

const TEXT = 'FROM a AS one\nRUN --mount=target=/x true\nCOPY b c\nFROM one\nRUN true\n';

function mounted(...specs: string[]): string[][] {
  const dockerfile = parseDockerfile({ name: 'Dockerfile', text: TEXT });
  return withAutomounts(dockerfile, { automounts: specs, volumes: [] })
    .stages.flatMap(({ instructions }) => instructions)
    .flatMap((one) => (one.kind === 'run' ? [one.mounts.map(({ raw }) => raw)] : []));
}

test('every RUN has the mounts before its own', () => {
  assert.equal(mounted(), [['target=/x'], []]);
  const [secret, cache] = ['type=secret,id=s,target=/s', 'type=cache,target=/c'];
  assert.equal(mounted(secret, cache), [
    [secret, cache, 'target=/x'],
    [secret, cache],
  ]);
});

test('such a mount is refused in the words of BuildKit', () => {
  assert.throws(() => mounted('nonsense'), /^failed to parse automount nonsense/);
  assert.throws(
    () => mounted('type=bind,from=one,target=/d'),
    /^automount does not support 'from' option$/,
  );
});

test.run();
