import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../base/digest.ts';
import { CancelledError, KilnError } from '../base/errors.ts';
import { type ImageConfig, type Manifest, MEDIA } from '../base/oci.ts';
import { ustar } from '../snapshotter/snapshotter.contract.ts';
import { SCRATCH, type Snapshot } from '../snapshotter/snapshotter.ts';
import { imageStoreExporter } from './image-store.ts';
import { loadArchive } from './load-archive.ts';
import { localExporter } from './local.ts';
import { dockerExporter, ociExporter } from './oci.ts';
import { saveImages } from './save.ts';
import { tarExporter } from './tar.ts';
import { openWorkshop, output, targetOf, type Workshop } from './testing.ts';

const test = suite<{ shop: Workshop }>('exporters');
test.before.each((context) => {
  context.shop = openWorkshop();
});
test.after.each(async ({ shop }) => await shop[Symbol.asyncDispose]());

/** Two layers: a file with a link, and an empty one. */
async function twoLayers(shop: Workshop): Promise<Snapshot> {
  const one = await shop.step(SCRATCH, (root) => {
    writeFileSync(join(root, 'hello'), 'hello\n', { mode: 0o755 });
    linkSync(join(root, 'hello'), join(root, 'again'));
    mkdirSync(join(root, 'etc'));
    symlinkSync('../hello', join(root, 'etc', 'link'));
    for (const name of ['hello', 'etc']) utimesSync(join(root, name), 1_600_000_000, 1_600_000_000);
  });
  return shop.step(one, () => undefined);
}

const has = (tool: string) => spawnSync(tool, ['--version']).error === undefined;
const lines = (text: string) => text.trim().split('\n');
const signal = new AbortController().signal;

async function code(promise: Promise<unknown>): Promise<string> {
  let error: unknown;
  await promise.catch((thrown) => (error = thrown));
  assert.instance(error, KilnError);
  return (error as KilnError).code;
}

test('an OCI archive is sorted, complete, dated 1970, and read by skopeo and umoci', async ({
  shop,
}) => {
  const dest = join(shop.out, 'o.tar');
  const response = await shop.run(ociExporter(shop, output('oci', `dest=${dest}`, ['app:1'])), [
    targetOf(await twoLayers(shop)),
  ]);
  const names = lines(execFileSync('tar', ['-tf', dest], { encoding: 'utf8' }));
  assert.equal(names, [...names].sort());
  assert.is(names.length, 2 + 4 + 2);
  assert.ok(
    lines(execFileSync('tar', ['-tvf', dest, '--utc'], { encoding: 'utf8' })).every((line) =>
      line.includes('1970-01-01 00:00'),
    ),
  );
  if (has('skopeo')) {
    const config = JSON.parse(
      execFileSync('skopeo', ['inspect', '--config', `oci-archive:${dest}`], { encoding: 'utf8' }),
    );
    assert.equal(config.config.Cmd, ['/hello']);
    const raw = execFileSync('skopeo', ['inspect', '--raw', `oci-archive:${dest}:1`]);
    writeFileSync(join(shop.out, 'raw'), raw);
    const digest = execFileSync('skopeo', ['manifest-digest', join(shop.out, 'raw')], {
      encoding: 'utf8',
    }).trim();
    assert.is(digest, response['containerimage.digest']);
  } else console.log('SKIP skopeo reads the archive: skopeo is not installed');
  assert.is(response['image.name'], 'docker.io/library/app:1');
});

test('a layout directory keeps the images it has, and umoci unpacks it', async ({ shop }) => {
  const dest = join(shop.out, 'layout');
  const snapshot = await twoLayers(shop);
  await shop.run(ociExporter(shop, output('oci', `dest=${dest},tar=false`, ['app:1'])), [
    targetOf(snapshot),
  ]);
  const { config, ...rest } = targetOf(snapshot);
  const other = { ...rest, config: { ...config, config: { Cmd: ['/again'] } } };
  await shop.run(ociExporter(shop, output('oci', `dest=${dest},tar=false`, ['app:2'])), [other]);
  await shop.run(ociExporter(shop, output('oci', `dest=${dest},tar=false`, ['app:1'])), [
    targetOf(snapshot),
  ]);
  const index = JSON.parse(readFileSync(join(dest, 'index.json'), 'utf8')) as {
    manifests: { annotations: Record<string, string> }[];
  };
  assert.equal(
    index.manifests.map(({ annotations }) => annotations['org.opencontainers.image.ref.name']),
    ['2', '1'],
  );
  assert.equal(
    readdirSync(join(dest, 'blobs/sha256')).filter((name) => name.includes('.')),
    [],
  );
  if (!has('umoci')) return console.log('SKIP umoci unpacks the layout: umoci is not installed');
  execFileSync('umoci', ['unpack', '--image', `${dest}:1`, join(shop.out, 'bundle')], {
    stdio: 'ignore',
  });
  const rootfs = join(shop.out, 'bundle', 'rootfs');
  assert.is(readFileSync(join(rootfs, 'etc/link'), 'utf8'), 'hello\n');
  assert.is(statSync(join(rootfs, 'hello')).ino, statSync(join(rootfs, 'again')).ino);
});

test('every layer is compressed as asked', async ({ shop }) => {
  const snapshot = await twoLayers(shop);
  for (const [compression, magic] of [
    ['gzip', '1f8b'],
    ['zstd', '28b52ffd'],
    ['uncompressed', ''],
  ] as const) {
    const dest = join(shop.out, compression);
    await shop.run(
      ociExporter(shop, output('oci', `dest=${dest},tar=false,compression=${compression}`)),
      [targetOf(snapshot)],
    );
    const [target] = (
      JSON.parse(readFileSync(join(dest, 'index.json'), 'utf8')) as {
        manifests: { digest: string }[];
      }
    ).manifests;
    const blob = (digest: string) => join(dest, 'blobs/sha256', digest.slice(7));
    const manifest = JSON.parse(readFileSync(blob(target!.digest), 'utf8')) as Manifest;
    assert.is(manifest.layers.length, 2);
    for (const layer of manifest.layers) {
      assert.ok(
        layer.mediaType.endsWith(
          { gzip: '+gzip', zstd: '+zstd', uncompressed: '.tar' }[compression],
        ),
      );
      assert.ok(readFileSync(blob(layer.digest)).toString('hex').startsWith(magic));
      if (compression === 'gzip')
        execFileSync('gzip', ['-t'], { input: readFileSync(blob(layer.digest)) });
    }
  }
});

test('a pulled layer is exported as its own blob unless another compression is forced', async ({
  shop,
}) => {
  const tar = ustar([{ name: 'base', content: 'base' }]);
  const blob = gzipSync(tar, { level: 1 });
  const diffId = digestOf(tar);
  const pulled = { diffId, blob: shop.content.put(blob), mediaType: MEDIA.dockerLayerGzip };
  const base = { layers: [await shop.snapshotter.unpack(pulled, SCRATCH)] };
  const snapshot = await shop.step(base, (root) => writeFileSync(join(root, 'own'), 'own'));
  const layersOf = async (dest: string, options: string) => {
    await shop.run(
      ociExporter(shop, output('oci', `dest=${join(shop.out, dest)},tar=false${options}`)),
      [targetOf(snapshot)],
    );
    const [target] = (
      JSON.parse(readFileSync(join(shop.out, dest, 'index.json'), 'utf8')) as {
        manifests: { digest: string }[];
      }
    ).manifests;
    return (
      JSON.parse(
        readFileSync(join(shop.out, dest, 'blobs/sha256', target!.digest.slice(7)), 'utf8'),
      ) as Manifest
    ).layers;
  };
  const [first, second] = await layersOf('a', ',compression=zstd');
  assert.equal(first, { mediaType: MEDIA.ociLayerGzip, digest: pulled.blob, size: blob.length });
  assert.is(second?.mediaType, MEDIA.ociLayerZstd);
  const [forced] = await layersOf('b', ',compression=uncompressed,force-compression=true');
  assert.equal(forced, { mediaType: MEDIA.ociLayer, digest: diffId, size: tar.length });
  await shop.run(imageStoreExporter(shop, output('image', '', ['app'])), [targetOf(snapshot)]);
  const stored = JSON.parse(
    shop.content.read(shop.images.list()[0]!.target.digest).toString(),
  ) as Manifest;
  assert.equal(stored.layers[0], first);
});

test('the same inputs with an epoch give the same manifest on two stores', async ({ shop }) => {
  await using other = openWorkshop();
  const digests: unknown[] = [];
  for (const one of [shop, other]) {
    const dest = join(one.out, 'o.tar');
    const response = await one.run(
      ociExporter(one, output('oci', `dest=${dest}`)),
      [targetOf(await twoLayers(one))],
      {
        epoch: 1_700_000_000,
      },
    );
    digests.push(response['containerimage.digest'], readFileSync(dest).toString('base64'));
  }
  assert.equal(digests.slice(0, 2), digests.slice(2));
});

test('a docker archive has the files that docker load reads', async ({ shop }) => {
  const dest = join(shop.out, 'd.tar');
  await shop.run(
    dockerExporter(shop, {
      ...output('docker', '', ['app:1', 'app:2']),
      destination: { kind: 'file', path: dest },
    }),
    [targetOf(await twoLayers(shop))],
  );
  const member = (name: string) => execFileSync('tar', ['-xOf', dest, name]);
  const [image] = JSON.parse(member('manifest.json').toString()) as {
    Config: string;
    RepoTags: string[];
    Layers: string[];
  }[];
  assert.equal(image?.RepoTags, ['app:1', 'app:2']);
  assert.is(image?.Layers.length, 2);
  assert.is((JSON.parse(member(image?.Config ?? '').toString()) as { os: string }).os, 'linux');
  for (const layer of image?.Layers ?? []) assert.ok(member(layer).length > 0);
  if (!has('skopeo'))
    return console.log('SKIP skopeo reads the docker archive: skopeo is not installed');
  assert.ok(
    execFileSync('skopeo', [
      'inspect',
      '--config',
      `docker-archive:${dest}:docker.io/library/app:2`,
    ]).length > 0,
  );
});

test('type=docker refuses several platforms', async ({ shop }) => {
  const exporter = dockerExporter(shop, {
    ...output('docker'),
    destination: { kind: 'file', path: join(shop.out, 'd.tar') },
  });
  assert.is(
    await code(shop.run(exporter, [targetOf(), targetOf(SCRATCH, 'arm64')])),
    'KILN_OUTPUT_INVALID',
  );
});

test('an image in the store names built layers by their tar, without writing a blob', async ({
  shop,
}) => {
  const snapshot = await twoLayers(shop);
  const response = await shop.run(
    imageStoreExporter(shop, output('image', '', ['app', 'other:2'])),
    [targetOf(snapshot)],
  );
  const stored = shop.images.get('docker.io/library/app:latest');
  assert.is(stored?.target.digest, response['containerimage.digest']);
  assert.equal(
    shop.images.list().map(({ name }) => name),
    ['docker.io/library/app:latest', 'docker.io/library/other:2'],
  );
  const manifest = JSON.parse(shop.content.read(stored!.target.digest).toString()) as Manifest;
  for (const [index, layer] of manifest.layers.entries()) {
    const info = await shop.snapshotter.describe(snapshot.layers[index]!);
    assert.equal(layer, {
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: info.diffId,
      size: info.tarSize,
    });
  }
  assert.is([...shop.content.list()].length, 2);
});

test('a saved image loads into another store with the same digest', async ({ shop }) => {
  await using other = openWorkshop();
  await shop.run(imageStoreExporter(shop, output('image', '', ['app:1'])), [
    targetOf(await twoLayers(shop)),
  ]);
  const saved = join(shop.out, 's.tar');
  await saveImages(shop, shop.images.list(), { kind: 'file', path: saved }, { signal });
  const [loaded] = await loadArchive(other, saved, { signal });
  assert.equal(loaded?.names, ['docker.io/library/app:1']);
  assert.equal(
    other.images.get('docker.io/library/app:1')?.target.digest,
    shop.images.list()[0]?.target.digest,
  );
  // The archive's statement of a layer's content is not proven yet, so no other image may use these
  // blobs.
  const config = JSON.parse(
    other.content.read(other.images.list()[0]!.configs[0]!).toString(),
  ) as ImageConfig;
  for (const diffId of config.rootfs?.diff_ids ?? [])
    assert.equal(other.forms.all(diffId as Digest), []);
  const again = join(other.out, 's.tar');
  await saveImages(other, other.images.list(), { kind: 'file', path: again }, { signal });
  const members = (path: string) => lines(execFileSync('tar', ['-tf', path], { encoding: 'utf8' }));
  assert.equal(members(again), members(saved));
});

test('an image without a name is saved without one', async ({ shop }) => {
  await shop.run(imageStoreExporter(shop, output('image')), [targetOf(await twoLayers(shop))]);
  const saved = join(shop.out, 's.tar');
  await saveImages(shop, shop.images.list(), { kind: 'file', path: saved }, { signal });
  const manifest = execFileSync('tar', ['-xOf', saved, 'manifest.json'], { encoding: 'utf8' });
  assert.is(JSON.parse(manifest)[0].RepoTags, null);
  await using other = openWorkshop();
  const [loaded] = await loadArchive(other, saved, { signal });
  assert.equal(loaded?.names, []);
  assert.is(loaded?.target.digest, shop.images.list()[0]?.target.digest);
});

test("an archive in docker's old format loads; its layers are verified", async ({ shop }) => {
  if (!has('skopeo'))
    return console.log("SKIP an archive in docker's old format loads: skopeo is not installed");
  const oci = join(shop.out, 'o.tar');
  const old = join(shop.out, 'old.tar');
  await shop.run(ociExporter(shop, output('oci', `dest=${oci}`)), [
    targetOf(await twoLayers(shop)),
  ]);
  execFileSync('skopeo', ['copy', '-q', `oci-archive:${oci}`, `docker-archive:${old}:app:3`]);
  await using other = openWorkshop();
  const [loaded] = await loadArchive(other, old, { signal });
  assert.equal(loaded?.names, ['docker.io/library/app:3']);
  const manifest = JSON.parse(other.content.read(loaded!.target.digest).toString()) as Manifest;
  for (const layer of manifest.layers) assert.is(other.content.size(layer.digest), layer.size);
  // One byte of the first layer's content changes.
  const bytes = readFileSync(old);
  const at = bytes.indexOf('hello\n\0\0');
  bytes[at] = 0x48;
  writeFileSync(old, bytes);
  await using third = openWorkshop();
  assert.is(await code(loadArchive(third, old, { signal })), 'KILN_DIGEST_MISMATCH');
  assert.equal(third.images.list(), []);
});

test('a layout with a changed blob is refused, and leaves no name', async ({ shop }) => {
  const dest = join(shop.out, 'layout');
  await shop.run(ociExporter(shop, output('oci', `dest=${dest},tar=false`, ['app:1'])), [
    targetOf(await twoLayers(shop)),
  ]);
  for (const name of readdirSync(join(dest, 'blobs/sha256'))) {
    await using other = openWorkshop();
    const path = join(dest, 'blobs/sha256', name);
    const bytes = readFileSync(path);
    const changed = Buffer.from(bytes);
    changed[bytes.length >> 1] = (changed[bytes.length >> 1] ?? 0) ^ 1;
    rmSync(path);
    writeFileSync(path, changed);
    assert.is(await code(loadArchive(other, dest, { signal })), 'KILN_DIGEST_MISMATCH', name);
    assert.equal(other.images.list(), []);
    writeFileSync(path, bytes);
    assert.ok(await loadArchive(other, dest, { signal }));
  }
});

test('a blob of a layout directory that does not match its name is written again', async ({
  shop,
}) => {
  const dest = join(shop.out, 'layout');
  const target = targetOf(await twoLayers(shop));
  const write = () =>
    shop.run(ociExporter(shop, output('oci', `dest=${dest},tar=false`, ['app:1'])), [target]);
  await write();
  for (const name of readdirSync(join(dest, 'blobs/sha256'))) {
    const path = join(dest, 'blobs/sha256', name);
    const bytes = readFileSync(path);
    rmSync(path);
    writeFileSync(path, Buffer.alloc(bytes.length));
    await write();
    assert.ok(readFileSync(path).equals(bytes), name);
  }
});

test('a file that is not an archive is refused', async ({ shop }) => {
  const path = join(shop.out, 'x');
  writeFileSync(path, 'no archive at all'.repeat(100));
  assert.is(await code(loadArchive(shop, path, { signal })), 'KILN_ARCHIVE_INVALID');
  const empty = join(shop.out, 'empty.tar');
  execFileSync('tar', ['-cf', empty, '-T', '/dev/null']);
  assert.is(await code(loadArchive(shop, empty, { signal })), 'KILN_ARCHIVE_INVALID');
});

test('a layer whose files have changed is not saved under its old digest', async ({ shop }) => {
  const snapshot = await twoLayers(shop);
  await shop.run(imageStoreExporter(shop, output('image', '', ['app:1'])), [targetOf(snapshot)]);
  writeFileSync(join(shop.store.layers, snapshot.layers[0]!, 'fs', 'hello'), 'HELLO\n');
  const path = join(shop.out, 's.tar');
  assert.is(
    await code(saveImages(shop, shop.images.list(), { kind: 'file', path }, { signal })),
    'KILN_STORE_DAMAGED',
  );
  assert.not(existsSync(path));
});

test('a tar holds the tree with links, owners and times; each platform has a directory', async ({
  shop,
}) => {
  const snapshot = await twoLayers(shop);
  const dest = join(shop.out, 't.tar');
  await shop.run(tarExporter(shop, output('tar', `dest=${dest}`)), [targetOf(snapshot)]);
  const list = (path: string) =>
    lines(execFileSync('tar', ['-tvf', path, '--utc', '--full-time'], { encoding: 'utf8' }));
  const found = list(dest).map((line) => line.replace(/ +/g, ' '));
  assert.equal(
    found.map((line) => line.replace(/^\S+ \S+ \S+ \S+ \S+ /, '')),
    ['again', 'etc/', 'etc/link -> ../hello', 'hello link to again'],
  );
  assert.match(found[0] ?? '', '-rwxr-xr-x 0/0 6 2020-09-13 12:26:40');
  await shop.run(
    tarExporter(shop, output('tar', `dest=${dest}`)),
    [targetOf(snapshot), targetOf(snapshot, 'arm64')],
    {
      epoch: 5,
    },
  );
  assert.ok(list(dest).every((line) => line.includes('1970-01-01 00:00:05')));
  assert.ok(list(dest).some((line) => line.endsWith(' linux_arm64/etc/')));
});

test('a directory gets the tree and keeps its other files, and no link in it is followed', async ({
  shop,
}) => {
  const dest = join(shop.out, 'local');
  const outside = join(shop.out, 'outside');
  for (const path of [dest, outside]) mkdirSync(path);
  writeFileSync(join(dest, 'mine'), 'mine');
  symlinkSync(outside, join(dest, 'etc'));
  const snapshot = await twoLayers(shop);
  await shop.run(localExporter(shop, output('local', `dest=${dest}`)), [targetOf(snapshot)]);
  assert.equal(readdirSync(dest).sort(), ['again', 'etc', 'hello', 'mine']);
  assert.equal(readdirSync(outside), []);
  assert.ok(lstatSync(join(dest, 'etc')).isDirectory());
  assert.is(statSync(join(dest, 'hello')).mtimeMs, 1_600_000_000_000);
  assert.is(statSync(join(dest, 'hello')).ino, statSync(join(dest, 'again')).ino);
  assert.is(statSync(join(dest, 'hello')).mode & 0o777, 0o755);
  await shop.run(localExporter(shop, output('local', `dest=${dest}`)), [
    targetOf(snapshot),
    targetOf(snapshot, 'arm64'),
  ]);
  assert.is(readFileSync(join(dest, 'linux_arm64', 'hello'), 'utf8'), 'hello\n');
});

test('a failed export leaves no archive, and the old one stays', async ({ shop }) => {
  const dest = join(shop.out, 'o.tar');
  writeFileSync(dest, 'old');
  const snapshot = await twoLayers(shop);
  const abort = new AbortController();
  abort.abort();
  let error: unknown;
  await shop
    .run(ociExporter(shop, output('oci', `dest=${dest}`)), [targetOf(snapshot)], {
      signal: abort.signal,
    })
    .catch((e) => (error = e));
  assert.instance(error, CancelledError);
  await shop.run(ociExporter(shop, output('oci', `dest=${dest}`)), [targetOf(snapshot)]);
  const blob = [...shop.content.list()].find(({ size }) => size > 100)!;
  truncateSync(shop.content.path(blob.digest), 10);
  const before = readFileSync(dest);
  // The blob is packed again, because it is not complete.
  await shop.run(ociExporter(shop, output('oci', `dest=${dest}`)), [targetOf(snapshot)]);
  assert.is(readFileSync(dest).length, before.length);
  assert.equal(
    readdirSync(shop.out).filter((name) => name.endsWith('.part')),
    [],
  );
});

test('an error names the destination that cannot be written', async ({ shop }) => {
  const snapshot = await twoLayers(shop);
  assert.is(
    await code(
      shop.run(tarExporter(shop, output('tar', `dest=${shop.out}`)), [targetOf(snapshot)]),
    ),
    'KILN_OUTPUT_INVALID',
  );
  const below = join(shop.out, 'file', 'x.tar');
  writeFileSync(join(shop.out, 'file'), '');
  assert.is(
    await code(shop.run(tarExporter(shop, output('tar', `dest=${below}`)), [targetOf(snapshot)])),
    'KILN_OUTPUT_UNWRITABLE',
  );
});

test('progress describes the export in the words of buildx', async ({ shop }) => {
  await shop.run(imageStoreExporter(shop, output('image', '', ['app:1'])), [
    targetOf(await twoLayers(shop)),
  ]);
  const names = shop.events.flatMap((event) =>
    event.kind === 'status' && event.completed !== undefined ? [event.id] : [],
  );
  assert.is(names[0], 'exporting layers');
  assert.match(names[1] ?? '', /^exporting manifest sha256:/);
  assert.match(names[2] ?? '', /^exporting config sha256:/);
  assert.is(names[3], 'naming to docker.io/library/app:1');
  const vertices = shop.events.filter((event) => event.kind === 'vertex');
  assert.is(vertices.length, 2);
  assert.is(vertices[0]?.name, 'exporting to image');
});

test.run();
