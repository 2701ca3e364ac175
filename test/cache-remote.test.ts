import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { registryMissing, startRegistry, type TestRegistry } from '../registry/testing/registry.ts';
import { cat, Rig, ROOT, steps } from './rig.ts';

/** Each RUN writes random bytes, so two images are equal exactly when no step ran twice. */
const DOCKERFILE = `
FROM busybox AS build
COPY a.txt /src/
RUN head -c 16 /dev/urandom | md5sum > /random-build
FROM busybox
WORKDIR /app
COPY --from=build /random-build /app/
COPY --link a.txt /linked/
RUN head -c 16 /dev/urandom | md5sum > /random-top
`;

async function machine(files: Readonly<Record<string, string>> = {}): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: DOCKERFILE, 'a.txt': 'a', ...files });
  return rig;
}

const randoms = async (rig: Rig) => [
  await cat(rig, 'x', '/app/random-build'),
  await cat(rig, 'x', '/random-top'),
];
const allCached = (plain: string, least = 7) => {
  const ends = steps(plain);
  assert.ok(ends.size >= least, plain);
  for (const [name, end] of ends)
    if (!/^importing|^exporting/.test(name)) assert.is(end, 'CACHED', `${name}\n${plain}`);
};
const ran = (plain: string) =>
  [...steps(plain)]
    .filter(([name, end]) => end === 'DONE' && /\[.*\d\/\d\]/.test(name))
    .map(([name]) => name.replace(/^\[.*?\] /, ''));
/** Counts the requests in the log of a registry by kind, such as `GET blobs`. */
function requests(registry: TestRegistry, from = 0): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [, method, kind] of registry
    .log()
    .slice(from)
    .matchAll(/"(GET|HEAD|PUT|POST|PATCH) \/v2\/[^ ]*\/(blobs|manifests)\/[^ ]* HTTP/g)) {
    const name = `${method} ${kind}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
const skip = registryMissing();
const real = (name: string, body: (registry: TestRegistry) => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else
    test(name, async () => {
      await using registry = await startRegistry();
      await body(registry);
    });
};

real(
  'a cache in a registry gives another machine an all-cached build without any download',
  async (registry) => {
    await using one = await machine();
    const ref = `${registry.host}/team/cache:main`;
    await one.build('c', '-t', 'x', '--cache-to', `type=registry,ref=${ref},mode=max`);
    await using two = await machine();
    const before = registry.log().length;
    allCached(await two.build('c', '--cache-from', ref, '--output', 'type=cacheonly'));
    assert.equal(
      requests(registry, before),
      new Map([
        ['GET manifests', 1],
        ['GET blobs', 1],
      ]),
      'the manifest and the config',
    );

    // A push to the registry of the cache moves no layer either.
    const beforePush = registry.log().length;
    await two.build(
      'c',
      '--cache-from',
      ref,
      '--output',
      `type=registry,name=${registry.host}/team/app:1`,
    );
    const pushed = requests(registry, beforePush);
    assert.is(pushed.get('GET blobs'), 1, 'the config of the cache');
    assert.is(pushed.get('PUT blobs'), 1, 'the config of the image; its layers are mounted');

    // An image that is loaded here has the same bytes as on the first machine.
    await two.build('c', '-t', 'x', '--cache-from', ref);
    assert.equal(await randoms(two), await randoms(one));
    const ids = await Promise.all(
      [one, two].map(async (rig) => (await rig.kiln(['images', '--quiet'], { expect: 0 })).stdout),
    );
    assert.ok(ids[0]);
    allCached(await two.build('c', '-t', 'y'));
  },
);

real(
  'after a changed file only the layers that the build needs are downloaded',
  async (registry) => {
    await using one = await machine();
    const ref = `${registry.host}/cache`;
    await one.build('c', '-t', 'x', '--cache-to', `type=registry,ref=${ref},mode=max`);
    await using two = await machine();
    two.write('c', {
      Dockerfile: `${DOCKERFILE.trimStart()}RUN cat /app/random-build /random-top > /more\n`,
    });
    const plain = await two.build('c', '-t', 'x', '--cache-from', `type=registry,ref=${ref}`);
    assert.equal(ran(plain), ['RUN cat /app/random-build /random-top > /more']);
    assert.is(await cat(two, 'x', '/more'), (await randoms(one)).join(''));
  },
);

real('export sends only what is missing', async (registry) => {
  await using rig = await machine();
  const to = ['--cache-to', `type=registry,ref=${registry.host}/cache,mode=max`];
  await rig.build('c', '-t', 'x', ...to);
  const before = registry.log().length;
  await rig.build('c', '-t', 'x', ...to);
  const again = requests(registry, before);
  assert.is(again.get('PUT blobs'), undefined);
  assert.is(again.get('PUT manifests'), undefined, 'the same cache is not written again');
  rig.write('c', { Dockerfile: `${DOCKERFILE.trimStart()}RUN echo more > /more\n` });
  const beforeMore = registry.log().length;
  await rig.build('c', '-t', 'x', ...to);
  const more = requests(registry, beforeMore);
  assert.is(more.get('PUT blobs'), 2, 'one layer and the config');
  assert.ok(
    (more.get('HEAD blobs') ?? 0) <= 3,
    'for blobs that the old cache lists there is no request',
  );
});

real('an inline cache is in the image, and a hit downloads no layer', async (registry) => {
  await using one = await machine();
  const ref = `${registry.host}/app:1`;
  await one.build(
    'c',
    '-t',
    'x',
    '--output',
    `type=image,name=${ref},push=true`,
    '--cache-to',
    'type=inline',
  );
  await using two = await machine();
  const before = registry.log().length;
  allCached(await two.build('c', '--cache-from', ref, '--output', 'type=cacheonly'));
  assert.is(requests(registry, before).get('GET blobs'), 1, 'the config of the image');
  // An image that is built on this one does not inherit the records of its inline cache.
  two.write('d', { Dockerfile: `FROM ${ref}\nLABEL a=b\n` });
  await two.build('d', '-t', 'derived');
  assert.not.match(
    (await two.kiln(['inspect', 'derived'], { expect: 0 })).stdout,
    'moby.buildkit.cache',
  );
});

test('a cache in a directory gives another machine an all-cached build', async () => {
  await using one = await machine();
  const directory = one.path('cache');
  await one.build('c', '-t', 'x', '--cache-to', `type=local,dest=${directory},mode=max`);
  await using two = await machine();
  allCached(
    await two.build(
      'c',
      '--cache-from',
      `type=local,src=${directory}`,
      '--output',
      'type=cacheonly',
    ),
  );
  await two.build('c', '-t', 'x', '--cache-from', `type=local,src=${directory}`);
  assert.equal(await randoms(two), await randoms(one));
});

test('mode=min has the steps whose layers are in the image, mode=max has every step', async () => {
  await using one = await machine();
  await one.build('c', '-t', 'x', '--cache-to', `type=local,dest=${one.path('min')}`);
  await one.build('c', '-t', 'x', '--cache-to', `type=local,dest=${one.path('max')},mode=max`);
  for (const [mode, expected] of [
    ['min', ['COPY a.txt /src/', 'RUN head -c 16 /dev/urandom | md5sum > /random-build']],
    ['max', []],
  ] as const) {
    await using two = await machine();
    allCached(
      await two.build(
        'c',
        '--cache-from',
        `type=local,src=${one.path(mode)}`,
        '--output',
        'type=cacheonly',
      ),
    );
    const plain = await two.build(
      'c',
      '--target=build',
      '--cache-from',
      `type=local,src=${one.path(mode)}`,
      '-t',
      'y',
    );
    assert.equal(
      ran(plain).filter((name) => !name.startsWith('FROM')),
      [...expected],
      mode,
    );
  }
});

test('a failed build exports its finished steps, but not those of earlier builds', async () => {
  await using one = await machine();
  const cache = `type=local,dest=${one.path('cache')},mode=max`;
  await one.build('c', '-t', 'x', '--cache-to', cache);
  one.write('broken', {
    Dockerfile: 'FROM busybox\nRUN head -c 16 /dev/urandom > /one\nRUN exit 3\n',
  });
  const failed = await one.kiln(['build', '--progress=plain', '--cache-to', cache, 'broken'], {
    expect: 1,
  });
  assert.match(failed.stderr, /exporting cache/);
  assert.match(failed.stderr, /KILN_STEP_FAILED/);
  await using two = await machine();
  two.write('fixed', {
    Dockerfile: 'FROM busybox\nRUN head -c 16 /dev/urandom > /one\nRUN exit 0\n',
  });
  const from = ['--cache-from', `type=local,src=${one.path('cache')}`];
  assert.equal(
    ran(await two.build('fixed', ...from, '--output', 'type=cacheonly')).filter(
      (name) => !name.startsWith('FROM'),
    ),
    ['RUN exit 0'],
  );
  allCached(await two.build('c', ...from, '--output', 'type=cacheonly'));
});

test('several caches are read, and records of each are used', async () => {
  await using one = await machine();
  await one.build(
    'c',
    '--target=build',
    '-t',
    'b',
    '--cache-to',
    `type=local,dest=${one.path('first')},mode=max`,
  );
  await one.build(
    'c',
    '-t',
    'x',
    '--cache-to',
    `type=local,dest=${one.path('second')}`,
    '--cache-to',
    `type=local,dest=${one.path('third')},tag=v1,mode=max`,
  );
  await using two = await machine();
  const from = ['first', 'second'].flatMap((name) => [
    '--cache-from',
    `type=local,src=${one.path(name)}`,
  ]);
  allCached(await two.build('c', ...from, '--target=build', '--output', 'type=cacheonly'), 3);
  allCached(await two.build('c', ...from, '--output', 'type=cacheonly'));
  await using three = await machine();
  allCached(
    await three.build(
      'c',
      '--cache-from',
      `type=local,src=${one.path('third')},tag=v1`,
      '--output',
      'type=cacheonly',
    ),
  );
});

test('a missing, broken or incomplete cache is a warning, and the build goes on', async () => {
  await using one = await machine();
  await one.build('c', '-t', 'x', '--cache-to', `type=local,dest=${one.path('cache')},mode=max`);
  await using two = await machine();
  cpSync(one.path('cache'), two.path('no-config'), { recursive: true });
  cpSync(one.path('cache'), two.path('cut'), { recursive: true });
  const blobs = two.path('cut/blobs/sha256');
  for (const name of readdirSync(blobs)) {
    const isDocument = readFileSync(join(blobs, name))[0] === 0x7b;
    if (!isDocument) truncateSync(join(blobs, name), 10);
    else if (
      readFileSync(join(two.path('no-config/blobs/sha256'), name), 'utf8').includes('"records"')
    )
      rmSync(join(two.path('no-config/blobs/sha256'), name));
  }
  two.write('garbage', {
    'index.json': '{"schemaVersion":2,"manifests":3}',
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
  });
  const from = ['nowhere', 'garbage', 'no-config'].flatMap((name) => [
    '--cache-from',
    `type=local,src=${two.path(name)}`,
  ]);
  const plain = await two.build(
    'c',
    '-t',
    'x',
    ...from,
    '--cache-from',
    `type=local,src=${two.path('cut')}`,
    '--cache-from',
    '127.0.0.1:1/none',
  );
  for (const name of ['nowhere', 'garbage', 'no-config', '127.0.0.1:1/none'])
    assert.match(plain, new RegExp(`the cache of [^ ]*${name} is not used`));
  assert.match(plain, /the cache of [^ ]*cut lacks \d+ of its blobs, such as sha256:/);
  assert.is.not(
    (await randoms(two))[1],
    (await randoms(one))[1],
    'what was cut short is made again',
  );
});

test('a cache that lacks a blob is read and written on; its step runs when needed', async () => {
  await using one = await machine();
  const cache = one.path('cache');
  await one.build('c', '-t', 'x', '--cache-to', `type=local,dest=${cache},mode=max`);
  const blobs = join(cache, 'blobs/sha256');
  const listed = (name: string) =>
    spawnSync('tar', ['-tzf', join(blobs, name)], { encoding: 'utf8' }).stdout.split('\n');
  const made = readdirSync(blobs).filter((name) => listed(name).includes('random-build'));
  assert.is(made.length, 1);
  for (const name of made) rmSync(join(blobs, name));
  await using two = await machine();
  const from = ['--cache-from', `type=local,src=${cache}`];
  const to = ['--cache-to', `type=local,dest=${two.path('next')},mode=max`];
  const plain = await two.build('c', ...from, ...to, '--output', 'type=cacheonly');
  assert.match(plain, /the cache of [^ ]*cache lacks 1 of its blobs/);
  assert.equal(ran(plain), []);
  await using three = await machine();
  const next = ['--cache-from', `type=local,src=${two.path('next')}`];
  await three.build('c', '-t', 'x', ...next);
  assert.equal(await randoms(three), await randoms(one), 'what is left was handed on');
  const target = await three.build('c', '-t', 'y', '--target=build', ...next);
  assert.ok(ran(target).includes('RUN head -c 16 /dev/urandom | md5sum > /random-build'), target);
  // The directory that lacks the blob is whole again after the step has run.
  const again = ['--cache-to', `type=local,dest=${cache},mode=max`];
  await three.build('c', '-t', 'y', '--target=build', ...again);
  await using four = await machine();
  assert.not.match(await four.build('c', '--target=build', '-t', 'y', ...from), /lacks/);
});

test('a cache in a registry that has lost a blob is written on without it', async () => {
  const missing = registryMissing();
  if (missing) return console.log(`SKIP lost blobs of registries: ${missing}`);
  await using registry = await startRegistry();
  await using one = await machine();
  const cache = (name: string) => `type=registry,ref=${registry.host}/${name},mode=max`;
  await one.build('c', '-t', 'x', '--cache-to', cache('one:1'));
  const api = `http://${registry.host}/v2/one`;
  const accept = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = await (await fetch(`${api}/manifests/1`, { headers: { accept } })).json();
  const { layers } = manifest as { readonly layers: readonly { readonly digest: string }[] };
  // The layer of the build stage: nothing of the image stands on it.
  const contents = await Promise.all(
    layers.map(async ({ digest }) => {
      const bytes = Buffer.from(await (await fetch(`${api}/blobs/${digest}`)).arrayBuffer());
      return { digest, files: spawnSync('tar', ['-tz'], { input: bytes }).stdout.toString() };
    }),
  );
  const lost = contents.find(({ files }) => /^random-build$/m.test(files));
  const gone = await fetch(`${api}/blobs/${lost!.digest}`, { method: 'DELETE' });
  assert.is(gone.status, 202);
  for (const to of ['two:1', 'one:1']) {
    await using two = await machine();
    two.write('c', { Dockerfile: `${DOCKERFILE}RUN echo ${to} >/more\n` });
    const from = ['--cache-from', cache('one:1').replace(',mode=max', '')];
    const plain = await two.build('c', ...from, '--cache-to', cache(to), '-o', 'type=cacheonly');
    assert.equal(ran(plain), [`RUN echo ${to} >/more`], to);
    assert.match(plain, new RegExp(`the blob ${lost!.digest} of an imported cache is lost`), to);
  }
  for (const name of ['two:1', 'one:1']) {
    await using three = await machine();
    const next = ['--cache-from', cache(name).replace(',mode=max', '')];
    const plain = await three.build('c', '-t', 'x', ...next);
    assert.equal(await randoms(three), await randoms(one), 'what is left was handed on');
    assert.not.match(plain, /lost|not available/);
    const target = await three.build('c', '-t', 'y', '--target=build', ...next);
    assert.ok(ran(target).includes('RUN head -c 16 /dev/urandom | md5sum > /random-build'), target);
  }
});

test('no byte of a cache with wrong diffIDs is used: the steps run instead', async () => {
  await using one = await machine();
  await one.build('c', '-t', 'x', '--cache-to', `type=local,dest=${one.path('cache')},mode=max`);
  const blob = (cache: string, digest: string) =>
    one.path(cache, 'blobs/sha256', digest.slice('sha256:'.length));
  const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  const index = read(one.path('cache/index.json'));
  const manifest = read(blob('cache', index.manifests[0].digest));
  const own = manifest.layers.filter((layer: { size: number }) => layer.size < 10_000);

  cpSync(one.path('cache'), one.path('bytes'), { recursive: true });
  for (const { digest } of own) {
    const bytes = readFileSync(blob('bytes', digest));
    bytes[bytes.length >> 1]! ^= 0xff;
    writeFileSync(blob('bytes', digest), bytes);
  }

  // Each layer has the diffID of the next one, in a manifest that is otherwise valid.
  cpSync(one.path('cache'), one.path('diff-ids'), { recursive: true });
  const annotation = 'containerd.io/uncompressed';
  const ids = own.map(
    (layer: { annotations: Record<string, string> }) => layer.annotations[annotation],
  );
  own.forEach((layer: { annotations: Record<string, string> }, at: number) => {
    layer.annotations[annotation] = ids[(at + 1) % ids.length];
  });
  const bytes = Buffer.from(JSON.stringify(manifest));
  index.manifests[0] = { ...index.manifests[0], digest: digestOf(bytes), size: bytes.length };
  writeFileSync(blob('diff-ids', digestOf(bytes)), bytes);
  writeFileSync(one.path('diff-ids/index.json'), JSON.stringify(index));

  for (const name of ['bytes', 'diff-ids']) {
    await using two = await machine();
    const plain = await two.build(
      'c',
      '-t',
      'x',
      '--cache-from',
      `type=local,src=${one.path(name)}`,
    );
    assert.match(plain, /is not available/, name);
    assert.match(await cat(two, 'x', '/random-top'), /^[0-9a-f]{32} /);
    assert.is.not((await randoms(two))[1], (await randoms(one))[1], name);
    assert.is(await cat(two, 'x', '/linked/a.txt'), 'a');
    assert.equal((await two.kiln(['fsck'], { expect: 0 })).code, 0);
  }
});

test('a failed export fails the build, unless ignore-error=true; the image exists', async () => {
  await using rig = await machine();
  writeFileSync(rig.path('file'), '');
  const to = `type=local,dest=${rig.path('file/cache')}`;
  const refused = await rig.kiln(['build', '-t', 'x', '--cache-to', to, 'c'], { expect: 2 });
  assert.match(refused.stderr, /KILN_OUTPUT_INVALID/);
  assert.not.match(refused.stderr, /RUN/, 'told before anything runs');
  const nowhere = 'type=registry,ref=127.0.0.1:1/c';
  assert.match(
    (await rig.kiln(['build', '-t', 'x', '--cache-to', nowhere, 'c'], { expect: 1 })).stderr,
    /UNREACHABLE/,
  );
  assert.ok((await randoms(rig))[0]);
  assert.match(
    await rig.build('c', '--cache-to', `${to},ignore-error=true`, '-t', 'y'),
    /the cache was not exported/,
  );
  const unreachable = await rig.kiln([
    'build',
    '--no-cache',
    '--cache-to',
    'type=registry,ref=127.0.0.1:1/c,mode=max',
    'c',
  ]);
  assert.match(unreachable.stderr, /KILN_REGISTRY_UNREACHABLE/);
});

test('builds of different platforms can add to one cache, one after the other', async () => {
  await using one = await Rig.create('busybox');
  one.write('c', {
    Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /f\nCOPY all /all\n',
    amd64: '1',
    arm64: '2',
    all: '3',
  });
  for (const arch of ['amd64', 'arm64'])
    await one.build(
      'c',
      '--platform',
      `linux/${arch}`,
      '--cache-to',
      `type=local,dest=${one.path('cache')},mode=max`,
    );
  await using two = await Rig.create('busybox');
  cpSync(one.path('c'), two.path('c'), { recursive: true });
  const plain = await two.build(
    'c',
    '--platform',
    'linux/amd64,linux/arm64',
    '--cache-from',
    `type=local,src=${one.path('cache')}`,
    '--output',
    'type=cacheonly',
  );
  assert.equal([...new Set(steps(plain).values())], ['CACHED']);
  assert.is(steps(plain).size, 4);
});

test('a cache that Docker exported is read without a warning, and the image is built', async () => {
  await using rig = await machine();
  for (const name of ['max', 'index', 'min', 'inline']) {
    const plain = await rig.build(
      'c',
      '-t',
      'x',
      '--no-cache',
      '--cache-from',
      `type=local,src=${join(ROOT, 'cache/remote/testdata', name)}`,
    );
    assert.match(plain, /importing cache manifest/);
    assert.not.match(plain, /WARN|ERROR|not used/);
    assert.is((await randoms(rig)).length, 2);
  }
});

test('with SOURCE_DATE_EPOCH an imported cache gives the same image byte for byte', async () => {
  await using one = await machine();
  const epoch = ['--build-arg', 'SOURCE_DATE_EPOCH=1700000000'];
  await one.build(
    'c',
    ...epoch,
    '--metadata-file',
    one.path('m'),
    '--output',
    `type=oci,dest=${one.path('o.tar')}`,
    '--cache-to',
    `type=local,dest=${one.path('cache')},mode=max`,
  );
  await using two = await machine();
  await two.build(
    'c',
    ...epoch,
    '--metadata-file',
    two.path('m'),
    '--output',
    `type=oci,dest=${two.path('o.tar')}`,
    '--cache-from',
    `type=local,src=${one.path('cache')}`,
  );
  const digest = (rig: Rig) =>
    JSON.parse(readFileSync(rig.path('m'), 'utf8'))['containerimage.digest'];
  assert.ok(existsSync(two.path('o.tar')));
  assert.is(digest(two), digest(one));
});

test.run();
