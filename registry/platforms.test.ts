import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import { bestManifest, formatPlatform, hostPlatform, normalisePlatform, parsePlatform } from './platforms.ts';

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
  ['linux/i386', { os: 'linux', architecture: '386' }],
  ['Linux/AMD64', { os: 'linux', architecture: 'amd64' }],
  ['macos/arm64', { os: 'darwin', architecture: 'arm64' }],
  ['amd64', { os: 'linux', architecture: 'amd64' }],
  ['linux', HOST],
  ['windows(10.0.17763)/amd64', { os: 'windows', architecture: 'amd64', osVersion: '10.0.17763' }],
  ['windows(10.0.17763+win32k)/amd64', { os: 'windows', architecture: 'amd64', osVersion: '10.0.17763', osFeatures: ['win32k'] }],
];
for (const [text, expected] of parsed)
  test(`${text} is ${JSON.stringify(expected)}`, () => assert.equal(parsePlatform(text, HOST), expected));

for (const text of ['', 'nonsense', 'linux/amd64/v1/x', 'linux/*', 'linux/', 'li nux/amd64', 'linux/am d64']) {
  test(`${JSON.stringify(text)} is refused`, () => {
    assert.throws(
      () => parsePlatform(text, HOST),
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_PLATFORM_INVALID',
    );
  });
}

const entry = (platform: Platform | undefined): Descriptor => ({
  mediaType: MEDIA.ociManifest,
  digest: digestOf(JSON.stringify(platform ?? '')),
  size: 1,
  ...(platform ? { platform } : {}),
});
const index = (...names: string[]) => ({
  schemaVersion: 2 as const,
  mediaType: MEDIA.ociIndex,
  manifests: names.map((name) => {
    const [os = '', architecture = '', variant] = name.split('/');
    return entry({ os, architecture, ...(variant ? { variant } : {}) });
  }),
});
const choice = (wanted: string, ...offered: string[]) => {
  const found = bestManifest(index(...offered), parsePlatform(wanted, HOST));
  return found?.platform && formatPlatform(found.platform);
};

test('the exact platform wins over a compatible one, wherever it stands', () => {
  assert.is(choice('linux/arm/v7', 'linux/arm/v6', 'linux/arm/v7'), 'linux/arm/v7');
  assert.is(choice('linux/amd64', 'linux/386', 'linux/amd64'), 'linux/amd64');
});

test('an older variant does when the exact one is missing, the newest first', () => {
  assert.is(choice('linux/arm/v7', 'linux/arm/v5', 'linux/arm/v6'), 'linux/arm/v6');
  assert.is(choice('linux/arm/v5', 'linux/arm/v6'), undefined);
  assert.is(choice('linux/amd64/v3', 'linux/amd64', 'linux/amd64/v2'), 'linux/amd64/v2');
  assert.is(choice('linux/amd64', 'linux/amd64/v2'), undefined);
  assert.is(choice('linux/arm64', 'linux/arm/v7'), 'linux/arm/v7');
  assert.is(choice('linux/arm64/v9', 'linux/arm64/v8'), 'linux/arm64/v8');
  assert.is(choice('linux/amd64', 'linux/386'), 'linux/386');
});

test('names in an index are normalised before they are compared', () => {
  assert.is(choice('linux/arm64', 'linux/aarch64/v8'), 'linux/aarch64/v8');
  assert.is(choice('linux/arm', 'linux/arm'), 'linux/arm');
});

test('an attestation manifest is never chosen', () => {
  assert.is(choice('linux/amd64', 'unknown/unknown'), undefined);
});

test('a lone manifest without a platform is taken', () => {
  const lone = { schemaVersion: 2 as const, mediaType: MEDIA.ociIndex, manifests: [entry(undefined)] };
  assert.ok(bestManifest(lone, HOST));
});

test('the host platform is normalised', () => {
  assert.equal(normalisePlatform(hostPlatform()), hostPlatform());
  assert.is(hostPlatform().os, 'linux');
});

test.run();
