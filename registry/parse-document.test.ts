import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import { mediaTypeOf, parseConfig, parseDocument } from './parse-document.ts';
import { makeImage } from './testing/images.ts';

const IMAGE = makeImage([{ name: 'a', text: 'a' }]);
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));

test('platforms of an index are read with their unusual names and normalised', () => {
  const platform = {
    os: 'windows',
    architecture: 'X86_64',
    'os.version': '10.0.17763',
    'os.features': ['win32k'],
  };
  const manifests = [{ mediaType: MEDIA.ociManifest, digest: digestOf('x'), size: 1, platform }];
  const parsed = parseDocument(bytesOf({ schemaVersion: 2, manifests }), MEDIA.ociIndex, 'x');
  assert.ok(parsed.kind === 'index');
  const expected = {
    os: 'windows',
    architecture: 'amd64',
    osVersion: '10.0.17763',
    osFeatures: ['win32k'],
  };
  assert.equal(parsed.kind === 'index' && parsed.index.manifests[0]?.platform, expected);
});

test('a config keeps fields that Kiln does not know, and may have null where Go writes it', () => {
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

/**
 * Every field that a config may have, by its path. A value is either accepted as its type or
 * refused with the name of the field.
 */
const FIELDS = [
  'architecture',
  'os',
  'variant',
  'os.version',
  'os.features',
  'author',
  'created',
  'rootfs',
  'rootfs/type',
  'rootfs/diff_ids',
  'history',
  'history/0',
  'history/0/created',
  'history/0/created_by',
  'history/0/empty_layer',
  'config',
  ...[
    'User',
    'Env',
    'Entrypoint',
    'Cmd',
    'WorkingDir',
    'Labels',
    'StopSignal',
    'OnBuild',
    'Shell',
    'ArgsEscaped',
  ].map((name) => `config/${name}`),
  ...['ExposedPorts', 'Volumes', 'Healthcheck', 'Healthcheck/Test', 'Healthcheck/Interval'].map(
    (name) => `config/${name}`,
  ),
];

/** `document` with `value` at the given path. */
function put(document: unknown, [name, ...way]: readonly string[], value: unknown): unknown {
  if (name === undefined) return value;
  const inside = (document as Record<string, unknown> | undefined)?.[name];
  if (name === '0') return [put(inside, way, value)];
  return { ...(document as object), [name]: put(inside, way, value) };
}

test('a wrong value in any field of a config is reported by name, and never accepted', () => {
  const junk = fc.constantFrom<unknown>(
    5,
    -1,
    1.5,
    true,
    [5, null],
    [[]],
    { a: { b: [] } },
    'x',
    [{}],
    ['x'],
    { a: 'x' },
    {},
  );
  fc.assert(
    fc.property(fc.constantFrom(...FIELDS), junk, (field, value) => {
      const config = put({ architecture: 'amd64', os: 'linux' }, field.split('/'), value);
      try {
        parseConfig(bytesOf(config), 'x');
      } catch (error) {
        assert.ok(
          error instanceof KilnError && error.code === 'KILN_CONFIG_INVALID',
          String(error),
        );
        const name = field.replace('/0', '[0]').replaceAll('/', '.');
        assert.match((error as KilnError).message, name);
      }
    }),
    { numRuns: 1000 },
  );
  for (const [field, value] of [
    ['history', [5, null]],
    ['history', [{ created: 'yesterday' }]],
    ['config/Labels', { a: 1 }],
    ['config/Volumes', ['/a']],
    ['config/ExposedPorts', ['80']],
    ['config/Healthcheck', { Test: 'CMD true' }],
  ] as const) {
    const config = put({ architecture: 'amd64', os: 'linux' }, field.split('/'), value);
    assert.throws(() => parseConfig(bytesOf(config), 'x'), /KILN|not/);
  }
});

test('a wrong value in any field of a descriptor is reported by name', () => {
  const good = { mediaType: MEDIA.ociManifest, digest: digestOf('x'), size: 1 };
  for (const [field, value] of [
    ['mediaType', 5],
    ['digest', 'sha256:12'],
    ['size', '1'],
    ['size', -1],
    ['platform', []],
    ['platform', 'linux/amd64'],
    ['platform/os', 5],
    ['platform/os.features', 'x'],
    ['annotations', []],
    ['annotations', { a: 1 }],
    ['artifactType', {}],
  ] as const) {
    const manifests = [put(good, field.split('/'), value)];
    const error = (() => {
      try {
        return parseDocument(bytesOf({ schemaVersion: 2, manifests }), MEDIA.ociIndex, 'x');
      } catch (caught) {
        return caught as KilnError;
      }
    })();
    assert.instance(error, KilnError, field);
    assert.match((error as KilnError).message, `manifests[0].${field.split('/')[0]}`);
  }
});

test('a document that nests too deeply is refused, and an error quotes none of its content', () => {
  const deep = Buffer.from(
    `{"architecture":"amd64","os":"linux","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  );
  assert.throws(() => parseConfig(deep, 'x'), /not a JSON document/);
  const secret = Buffer.from('CANARY-SECRET of the host');
  for (const parse of [
    () => parseConfig(secret, 'x'),
    () => parseDocument(secret, MEDIA.ociIndex, 'x'),
    () => mediaTypeOf(secret, 'x'),
  ]) {
    try {
      parse();
      assert.unreachable('it was parsed');
    } catch (error) {
      assert.instance(error, KilnError);
      assert.not.match(JSON.stringify([String(error), error]), 'CANARY');
    }
  }
});

test('bytes that are not valid UTF-8 are refused', () => {
  const bytes = Buffer.concat([
    Buffer.from('{"a":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}'),
  ]);
  assert.throws(
    () => parseConfig(bytes, 'x'),
    (error: unknown) => error instanceof KilnError,
  );
});

test('any JSON input gives a document or a KilnError', () => {
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
    fc.constantFrom(
      2,
      MEDIA.ociIndex,
      MEDIA.ociManifest,
      IMAGE.manifest.config,
      IMAGE.manifest.layers,
    ),
  );
  const document = fc.oneof(fc.dictionary(field, value), fc.jsonValue());
  fc.assert(
    fc.property(
      document,
      fc.constantFrom(MEDIA.ociIndex, MEDIA.ociManifest, 'text/html'),
      (json, type) => {
        for (const parse of [
          () => parseDocument(bytesOf(json), type, 'x'),
          () => parseConfig(bytesOf(json), 'x'),
        ]) {
          try {
            parse();
          } catch (error) {
            assert.instance(error, KilnError);
          }
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test.run();
