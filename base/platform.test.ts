import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from './errors.ts';
import { formatPlatform, formatPlatformInFull, type Platform, parsePlatform } from './platform.ts';

const HOST: Platform = { os: 'linux', architecture: 'arm64' };

const parsed: readonly [string, Platform][] = [
  ['linux/amd64', { os: 'linux', architecture: 'amd64' }],
  ['linux/x86_64', { os: 'linux', architecture: 'amd64' }],
  ['linux/amd64/v1', { os: 'linux', architecture: 'amd64' }],
  ['linux/amd64/v2', { os: 'linux', architecture: 'amd64', variant: 'v2' }],
  ['linux/aarch64', { os: 'linux', architecture: 'arm64' }],
  ['linux/arm64/v8', { os: 'linux', architecture: 'arm64' }],
  ['linux/arm64/8', { os: 'linux', architecture: 'arm64' }],
  ['linux/arm', { os: 'linux', architecture: 'arm', variant: 'v7' }],
  ['linux/armhf', { os: 'linux', architecture: 'arm', variant: 'v7' }],
  ['linux/armel', { os: 'linux', architecture: 'arm', variant: 'v6' }],
  ['linux/arm/6', { os: 'linux', architecture: 'arm', variant: 'v6' }],
  ['linux/arm64/v8.0', { os: 'linux', architecture: 'arm64' }],
  ['arm', { os: 'linux', architecture: 'arm', variant: 'v7' }],
  ['armel', { os: 'linux', architecture: 'arm', variant: 'v6' }],
  ['windows', { os: 'windows', architecture: 'arm64' }],
  ['linux/i386', { os: 'linux', architecture: '386' }],
  ['Linux/AMD64', { os: 'linux', architecture: 'amd64' }],
  ['macos/arm64', { os: 'darwin', architecture: 'arm64' }],
  ['amd64', { os: 'linux', architecture: 'amd64' }],
  ['linux', HOST],
  ['windows(10.0.17763)/amd64', { os: 'windows', architecture: 'amd64', osVersion: '10.0.17763' }],
  [
    'windows(10.0.17763+win32k)/amd64',
    { os: 'windows', architecture: 'amd64', osVersion: '10.0.17763', osFeatures: ['win32k'] },
  ],
];
for (const [text, expected] of parsed)
  test(`${text} is ${JSON.stringify(expected)}`, () =>
    assert.equal(parsePlatform(text, HOST), expected));

for (const text of [
  '',
  'nonsense',
  'foo',
  'a/b/c/d',
  'linux/amd64/v1/x',
  'linux/*',
  'linux/',
  'li nux/amd64',
  'linux/am d64',
]) {
  test(`${JSON.stringify(text)} is refused`, () => {
    assert.throws(
      () => parsePlatform(text, HOST),
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_PLATFORM_INVALID',
    );
  });
}

test('a platform is written in the form that is parsed', () => {
  const full = (text: string) => formatPlatformInFull(parsePlatform(text, HOST));
  for (const text of [
    'linux/arm64',
    'linux/arm/v6',
    'windows(10.0.17763)/amd64',
    'windows(10.0.17763+win32k)/amd64',
    'linux(+x)/386',
  ])
    assert.is(full(text), text);
  assert.is(
    formatPlatform(parsePlatform('windows(10.0.17763+win32k)/amd64', HOST)),
    'windows/amd64',
  );
});

test.run();
