import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { asDigest, digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Descriptor, HistoryEntry, ImageConfig, Manifest } from '../base/oci.ts';
import { parseReference } from '../base/reference.ts';
import type { LayerId } from '../snapshotter/snapshotter.ts';
import { fitHistory, rfc3339 } from './history.ts';
import { type AssembledImage, assemble } from './image.ts';
import { configJson, layoutIndexJson, manifestJson } from './image-documents.ts';
import { dockerManifest, layoutIndex } from './layout.ts';
import { type ImageOptions, parseOutput } from './output-spec.ts';
import type { BuiltTarget } from './target.ts';

// The golden files were written by Docker 28.5's builder for small Dockerfiles (listed in
// golden/README.md).
const golden = (name: string) =>
  readFileSync(new URL(`golden/${name}.golden`, import.meta.url), 'utf8');
const parse = <T>(name: string) => JSON.parse(golden(name)) as T;
const CREATED = Date.parse('2026-11-21T01:35:08.5Z');

function imageOptions(text: string, tags: readonly string[] = []): ImageOptions {
  const spec = parseOutput(
    new Map(text.split(';').map((field) => field.split('=') as [string, string])),
    tags,
  );
  if (!('image' in spec)) throw new Error('no image');
  return spec.image;
}

/** The frontend's input for the image whose config and manifest are golden files. */
function targetOf(
  config: ImageConfig,
  layers: readonly Descriptor[],
  baseEntries: number,
): BuiltTarget {
  const { rootfs: _rootfs, created: _created, ...rest } = config;
  const history = (config.history ?? []).map((entry, index) => {
    const { created: _, ...bare } = entry;
    return index < baseEntries ? entry : bare;
  });
  return {
    platform: { os: config.os, architecture: config.architecture },
    snapshot: { layers: layers.map((layer) => layer.digest as unknown as LayerId) },
    config: shuffled({ ...rest, history }),
    base:
      baseEntries > 0
        ? {
            architecture: config.architecture,
            os: config.os,
            history: history.slice(0, baseEntries),
          }
        : undefined,
  };
}

/**
 * The same value with its keys in another order, because the order of Kiln's keys must not matter.
 */
function shuffled<T>(value: T): T {
  if (Array.isArray(value)) return value.map(shuffled) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, member]) => [name, shuffled(member)]);
  return Object.fromEntries(entries.reverse()) as T;
}

interface Case {
  readonly name: string;
  readonly baseEntries: number;
  readonly options: string;
  readonly epoch?: number;
}

async function again({ name, baseEntries, options, epoch }: Case): Promise<AssembledImage> {
  const config = parse<ImageConfig>(`${name}.config`);
  const manifest = parse<Manifest>(`${name}.manifest`);
  const layers = manifest.layers ?? [];
  const ids = config.rootfs?.diff_ids ?? [];
  return assemble([targetOf(config, layers, baseEntries)], {
    image: imageOptions(options),
    ociTypes: true,
    epoch,
    part: async (layer) => {
      const index = layers.findIndex(({ digest }) => digest === (layer as string));
      return {
        diffId: asDigest(ids[index] ?? ''),
        descriptor: shuffled(layers[index]!),
        created: CREATED,
      };
    },
  });
}

for (const one of [
  { name: 'all', baseEntries: 2, options: 'type=oci;dest=x' },
  { name: 'empty', baseEntries: 0, options: 'type=oci;dest=x' },
  { name: 'base', baseEntries: 2, options: 'type=oci;dest=x' },
  {
    name: 'epoch',
    baseEntries: 2,
    options: 'type=oci;dest=x;annotation.k=v;annotation.j.k=2;annotation-manifest-descriptor.i=j',
    epoch: 1000,
  },
] satisfies Case[]) {
  test(`config and manifest are Docker's, byte for byte: ${one.name}`, async () => {
    const image = await again(one);
    const [manifest] = image.manifests;
    assert.is(image.documents.get(manifest!.config.digest), golden(`${one.name}.config`));
    assert.is(image.documents.get(manifest!.descriptor.digest), golden(`${one.name}.manifest`));
    assert.is(image.target, manifest!.descriptor);
  });
}

test("index.json is Docker's, byte for byte", async () => {
  const image = await again({
    name: 'epoch',
    baseEntries: 2,
    options: 'type=oci;dest=x;annotation.k=v;annotation.j.k=2;annotation-manifest-descriptor.i=j',
    epoch: 1000,
  });
  const index = layoutIndex(
    image.target,
    [parseReference('docker.io/library/foo:latest')],
    1_000_000,
  );
  const text = layoutIndexJson({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: index,
  });
  assert.is(text, golden('epoch.index'));
});

test("the archive for docker load has Docker's manifest.json and index.json", () => {
  const names = ['docker.io/library/app:1', 'docker.io/library/app:2'].map(parseReference);
  const manifest = parse<Manifest>('docker.image');
  const entry = dockerManifest(manifest.config, manifest.layers, names);
  assert.is(
    entry.kind === 'bytes' && Buffer.from(entry.bytes).toString(),
    golden('docker.manifest'),
  );
  assert.is(manifestJson(shuffled(manifest)), golden('docker.image'));
  const text = golden('docker.image');
  const target = {
    mediaType: manifest.mediaType,
    digest: digestOf(text),
    size: text.length,
    platform: { os: 'linux', architecture: 'amd64' },
  };
  const index = layoutIndex(target, names, Date.parse('2026-11-21T01:35:09.700Z'));
  assert.is(
    layoutIndexJson({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: index,
    }),
    golden('docker.index'),
  );
});

test("an index over platforms is Docker's, byte for byte", async () => {
  const list = parse<{ manifests: Descriptor[] }>('platforms.list');
  const arm = parse<Manifest>('platforms.arm64.manifest');
  const layer = arm.layers[0]!;
  const diffId = asDigest(
    'sha256:423d3a9348672dc34de0dc2686748cf888a501e785c9e4d69ef7b3d3eb7dd94d',
  );
  const config = parse<ImageConfig>('link.config');
  const history = [
    { created_by: 'COPY Dockerfile / # buildkit', comment: 'buildkit.dockerfile.v0' },
  ];
  const target = (architecture: string) =>
    targetOf({ ...config, architecture, history }, [layer], 0);
  const image = await assemble([target('amd64'), target('arm64')], {
    image: imageOptions(
      'type=oci;dest=x;annotation-index.i=j;annotation-index-descriptor.q=r;' +
        'annotation-manifest[linux/arm64].z=y',
    ),
    ociTypes: true,
    epoch: 1000,
    part: async () => ({ diffId, descriptor: layer, created: CREATED }),
  });
  assert.is(image.documents.get(list.manifests[1]!.digest), golden('platforms.arm64.manifest'));
  assert.is(image.documents.get(image.target.digest), golden('platforms.list'));
  const index = layoutIndex(image.target, [parseReference('docker.io/library/bar:2')], 1_000_000);
  assert.is(
    layoutIndexJson({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: index,
    }),
    golden('platforms.index'),
  );
});

test('index annotations are refused for an image without an index', async () => {
  let error: unknown;
  await again({
    name: 'base',
    baseEntries: 2,
    options: 'type=oci;dest=x;annotation-index.a=b',
  }).catch((thrown) => (error = thrown));
  assert.ok(error instanceof KilnError && error.code === 'KILN_OUTPUT_INVALID');
});

test('a label named 10 stays behind one named 1, and unknown fields are kept', () => {
  const text = configJson({
    architecture: 'a',
    os: 'o',
    zzz: { b: 1, a: 2 },
    config: { Labels: { b: '1', '10': '2', '9': '3' }, New: true, Env: [] },
  });
  assert.is(
    text,
    '{"architecture":"a","config":{"Labels":{"10":"2","9":"3","b":"1"},"New":true},' +
      '"created":null,"os":"o","rootfs":{"type":"layers","diff_ids":null},"zzz":{"b":1,"a":2}}',
  );
});

test('every layer has one history entry, and every entry has a time', () => {
  const layers = ['2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z', '2022-01-01T00:00:00Z'].map(
    (created) => ({ created }),
  );
  const bare = (created_by: string, empty_layer?: true): HistoryEntry => ({
    created_by,
    ...(empty_layer ? { empty_layer } : {}),
  });
  const base = { created: '2019-01-01T00:00:00Z', created_by: 'base' };
  const times = (entries: readonly HistoryEntry[]) =>
    entries.map(({ created }) => created?.slice(0, 4));
  const history = [
    base,
    bare('ENV', true),
    bare('RUN 1'),
    bare('ENV', true),
    bare('RUN 2'),
    bare('CMD', true),
  ];
  assert.equal(times(fitHistory(history, layers, 1, undefined)), [
    '2019',
    '2021',
    '2021',
    '2021',
    '2022',
    '2022',
  ]);
  assert.equal(times(fitHistory([base, bare('ENV', true)], layers.slice(0, 1), 1, undefined)), [
    '2019',
    '2019',
  ]);
  const short = fitHistory([base], layers, 1, undefined);
  assert.equal(times(short), ['2019', '2021', '2022']);
  const long = fitHistory([base, bare('RUN 1'), bare('RUN 2')], layers.slice(0, 2), 1, undefined);
  assert.equal(
    long.map(({ empty_layer }) => empty_layer ?? false),
    [false, false, true],
  );
});

test('the epoch lowers later times, but none of the base image', () => {
  const base = { created: '2019-01-01T00:00:00Z', created_by: 'base' };
  const fitted = fitHistory(
    [base, { created_by: 'RUN' }],
    [{ created: '2019-01-01T00:00:00Z' }, { created: '2022-01-01T00:00:00Z' }],
    1,
    rfc3339(0),
  );
  assert.equal(
    fitted.map(({ created }) => created),
    ['2019-01-01T00:00:00Z', '1970-01-01T00:00:00Z'],
  );
});

test('times have only the decimals they need', () => {
  assert.is(rfc3339(0), '1970-01-01T00:00:00Z');
  assert.is(rfc3339(1200), '1970-01-01T00:00:01.2Z');
  assert.is(rfc3339(1234), '1970-01-01T00:00:01.234Z');
  assert.is(rfc3339(600_000), '1970-01-01T00:10:00Z');
});

test.run();
