import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from './digest.ts';
import { type Descriptor, MEDIA } from './oci.ts';
import { formatPlatform, type Platform, parsePlatform } from './platform.ts';
import { bestManifest } from './platformmatch.ts';

const HOST: Platform = { os: 'linux', architecture: 'arm64' };

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

test('an older variant is taken when the exact one is missing, the newest first', () => {
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
  const lone = {
    schemaVersion: 2 as const,
    mediaType: MEDIA.ociIndex,
    manifests: [entry(undefined)],
  };
  assert.ok(bestManifest(lone, HOST));
});

test.run();
