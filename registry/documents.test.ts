import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import { parseConfig, parseDocument } from './documents.ts';
import { makeImage } from './testing/images.ts';

const IMAGE = makeImage([{ name: 'a', text: 'a' }]);
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));

test('platforms of an index are read with their odd names and normalised', () => {
  const platform = { os: 'windows', architecture: 'X86_64', 'os.version': '10.0.17763', 'os.features': ['win32k'] };
  const manifests = [{ mediaType: MEDIA.ociManifest, digest: digestOf('x'), size: 1, platform }];
  const parsed = parseDocument(bytesOf({ schemaVersion: 2, manifests }), MEDIA.ociIndex, 'x');
  assert.ok(parsed.kind === 'index');
  const expected = { os: 'windows', architecture: 'amd64', osVersion: '10.0.17763', osFeatures: ['win32k'] };
  assert.equal(parsed.kind === 'index' && parsed.index.manifests[0]?.platform, expected);
});

test('a config keeps what Kiln does not know, and may have null where Go writes it', () => {
  const config = {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: null },
    config: { Cmd: null, Weird: 1 },
    other: {},
  };
  assert.equal(parseConfig(bytesOf(config), 'x'), config);
});

for (const [what, config] of [
  ['a Cmd that is a string', { config: { Cmd: 'rm -rf /' } }],
  ['an Env with a number', { config: { Env: [1] } }],
  ['a User that is a list', { config: { User: ['root'] } }],
  ['a diffID that is a path', { rootfs: { diff_ids: ['../../x'] } }],
  ['an os that is missing', { os: undefined }],
  ['a config that is a list', { config: [] }],
] as const) {
  test(`${what} is refused`, () => {
    const bytes = bytesOf({ architecture: 'amd64', os: 'linux', ...config });
    assert.throws(
      () => parseConfig(bytes, 'x'),
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_CONFIG_INVALID',
    );
  });
}

test('bytes that are no UTF-8 are refused', () => {
  const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
  assert.throws(
    () => parseConfig(bytes, 'x'),
    (error: unknown) => error instanceof KilnError,
  );
});

test('whatever JSON comes, the answer is a document or a KilnError', () => {
  const field = fc.constantFrom(
    'schemaVersion',
    'mediaType',
    'manifests',
    'layers',
    'config',
    'annotations',
    'rootfs',
    'history',
    'os',
    'architecture',
  );
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(2, MEDIA.ociIndex, MEDIA.ociManifest, IMAGE.manifest.config, IMAGE.manifest.layers),
  );
  const document = fc.oneof(fc.dictionary(field, value), fc.jsonValue());
  fc.assert(
    fc.property(document, fc.constantFrom(MEDIA.ociIndex, MEDIA.ociManifest, 'text/html'), (json, type) => {
      for (const parse of [() => parseDocument(bytesOf(json), type, 'x'), () => parseConfig(bytesOf(json), 'x')]) {
        try {
          parse();
        } catch (error) {
          assert.instance(error, KilnError);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test.run();
