import { resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { parseReference } from '../../base/reference.ts';
import { parseCacheFrom, parseCacheTo } from './cache-specs.ts';

const refused = (parse: () => unknown): KilnError => {
  try {
    parse();
  } catch (error) {
    assert.instance(error, KilnError);
    return error as KilnError;
  }
  throw new Error('expected an error');
};

const DIGEST = `sha256:${'a'.repeat(64)}`;

test('--cache-from takes one or several references, or attributes as in buildx', () => {
  assert.equal(
    parseCacheFrom([
      'app:1,team/app:2',
      'type=registry,ref=app:3',
      `type=local,src=dir,digest=${DIGEST}`,
      'type=local,src=d,tag=v1',
    ]),
    [
      { type: 'registry', ref: parseReference('app:1') },
      { type: 'registry', ref: parseReference('team/app:2') },
      { type: 'registry', ref: parseReference('app:3') },
      { type: 'local', src: resolve('dir'), tag: undefined, digest: DIGEST },
      { type: 'local', src: resolve('d'), tag: 'v1', digest: undefined },
    ],
  );
});

test('--cache-to has buildx’s defaults and options', () => {
  const defaults = {
    mode: 'min',
    imageManifest: true,
    ociTypes: true,
    compression: 'gzip',
    level: undefined,
    forceCompression: false,
    ignoreError: false,
  };
  assert.equal(
    parseCacheTo([
      'app:cache',
      'type=inline',
      'type=local,dest=d,tag=v1',
      'dest=e,type=local,reset=1',
    ]),
    [
      { ...defaults, type: 'registry', ref: parseReference('app:cache') },
      { type: 'inline' },
      { ...defaults, type: 'local', dest: resolve('d'), tag: 'v1' },
      { ...defaults, type: 'local', dest: resolve('e'), tag: 'latest', reset: true },
    ],
  );
  assert.equal(
    parseCacheTo([
      'type=registry,ref=a,mode=max,image-manifest=false,oci-mediatypes=true,' +
        'compression=zstd,compression-level=22,force-compression=true,ignore-error=1',
      'type=local,dest=d,oci-mediatypes=false',
    ]),
    [
      {
        ...defaults,
        type: 'registry',
        ref: parseReference('a'),
        mode: 'max',
        imageManifest: false,
        compression: 'zstd',
        level: 22,
        forceCompression: true,
        ignoreError: true,
      },
      {
        ...defaults,
        type: 'local',
        dest: resolve('d'),
        tag: 'latest',
        imageManifest: false,
        ociTypes: false,
      },
    ],
  );
});

test('the error for a cache in a cloud service says what to use instead', () => {
  for (const type of ['gha', 's3', 'azblob']) {
    for (const parse of [
      () => parseCacheTo([`type=${type},bucket=b`]),
      () => parseCacheFrom([`type=${type}`]),
    ]) {
      const error = refused(parse);
      assert.is(error.code, 'KILN_CACHE_UNSUPPORTED');
      assert.match(error.hint ?? '', 'type=registry');
    }
  }
});

test('a value that is not valid is refused with an error that names the flag', () => {
  for (const text of [
    'type=registry',
    'type=registry,ref=UPPER CASE',
    'type=local',
    'type=local,src=a',
    'type=local,dest=d,mode=most',
    'type=local,dest=d,compression=brotli',
    'type=local,dest=d,compression-level=99',
    'type=local,dest=d,ignore-error=perhaps',
    'type=local,dest=d,scope=x',
    'type=registry,ref=a,image-manifest=true,oci-mediatypes=false',
    'type=floppy',
    `type=registry,ref=app@${DIGEST}`,
    'ref=a',
    'type=local,dest=d,word',
  ]) {
    const error = refused(() => parseCacheTo([text]));
    assert.is(error.code, 'KILN_CACHE_INVALID', text);
    assert.equal(error.place, { kind: 'flag', flag: '--cache-to' });
    assert.is(error.exitCode, 2);
  }
  for (const text of ['type=inline', 'type=local,src=d,digest=latest', 'type=local,dest=d'])
    assert.is(refused(() => parseCacheFrom([text])).code, 'KILN_CACHE_INVALID', text);
});

test.run();
