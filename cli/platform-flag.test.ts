import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { platformFlag } from './platform-flag.ts';

test('--platform takes precedence over DOCKER_DEFAULT_PLATFORM, and both may be missing', () => {
  const env = { DOCKER_DEFAULT_PLATFORM: 'linux/arm64' };
  assert.is(platformFlag('linux/s390x', env)?.architecture, 's390x');
  assert.is(platformFlag(undefined, env)?.architecture, 'arm64');
  assert.is(platformFlag(undefined, { DOCKER_DEFAULT_PLATFORM: '' }), undefined);
  assert.is(platformFlag(undefined, {}), undefined);
});

test('the error for an invalid platform names the flag or the variable', () => {
  const placeOf = (flag: string | undefined, env: Record<string, string>) => {
    try {
      return platformFlag(flag, env);
    } catch (error) {
      return error instanceof KilnError && error.exitCode === 2 ? error.place : error;
    }
  };
  assert.equal(placeOf('foo', {}), { kind: 'flag', flag: '--platform' });
  assert.equal(placeOf(undefined, { DOCKER_DEFAULT_PLATFORM: 'foo' }), {
    kind: 'flag',
    flag: 'DOCKER_DEFAULT_PLATFORM',
  });
});

test.run();
