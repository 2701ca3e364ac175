import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { normalisePlatform } from '../base/platform.ts';
import { hostPlatform, parsePlatformForHost } from './platforms.ts';

test('the host platform is normalised', () => {
  assert.equal(normalisePlatform(hostPlatform()), hostPlatform());
  assert.is(hostPlatform().os, 'linux');
});

test('the missing parts of a platform are those of this host', () => {
  assert.equal(parsePlatformForHost('linux'), hostPlatform());
});

test.run();
