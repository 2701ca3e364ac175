import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { Rig, run, testImage } from './rig.ts';

const missing = registryMissing();
const registryTest = (name: string, body: () => Promise<void>) => {
  if (missing) console.log(`SKIP ${name}: ${missing}`);
  else test(name, body);
};

/*
 * A changed byte in the store never gets into an output. A blob or layer that can be made again is
 * made again. Any other one is an error that names it, and no output is written.
 */

const EXPORTS: Readonly<Record<string, (to: string) => readonly string[]>> = {
  'oci archive': (to) => ['build', '-o', `type=oci,dest=${to}`, 'c'],
  'docker archive': (to) => ['build', '-o', `type=docker,dest=${to}`, 'c'],
  layout: (to) => ['build', '-o', `type=oci,tar=false,dest=${to}`, 'c'],
  'local cache': (to) => ['build', '--cache-to', `type=local,mode=max,dest=${to}`, 'c'],
  'another compression': (to) => [
    'build',
    '-o',
    `type=oci,compression=zstd,force-compression=true,dest=${to}`,
    'c',
  ],
  save: (to) => ['save', '-o', to, 'img'],
  'copy to an archive': (to) => ['copy', 'store:img', `oci-archive:${to}`],
  'copy to a layout': (to) => ['copy', 'store:img', `oci:${to}`],
};

async function rigged(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY f /f\n', f: 'x'.repeat(100_000) });
  await rig.build('c', '-t', 'img');
  return rig;
}

/**
 * The blobs of an archive or layout whose bytes do not match their digests. Throws when it has no
 * blobs.
 */
async function wrongIn(rig: Rig, output: string): Promise<string[]> {
  let root = output;
  if (statSync(output).isFile()) {
    root = rig.path('unpacked');
    mkdirSync(root);
    await run(['tar', '-xf', output, '-C', root], { expect: 0 });
  }
  const names = readdirSync(`${root}/blobs/sha256`);
  const wrong = names.filter(
    (name) => sha256(readFileSync(`${root}/blobs/sha256/${name}`)) !== name,
  );
  rmSync(rig.path('unpacked'), { recursive: true, force: true });
  assert.ok(names.length > 2);
  return wrong;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
  writeFileSync(path, bytes);
}

/** The blobs of layers, the largest first. Configs and manifests are text, and left out. */
function layerBlobs(rig: Rig): string[] {
  const blobs = globSync(`${rig.store}/blobs/sha256/*`).filter(
    (path) => readFileSync(path)[0] !== 0x7b,
  );
  return blobs.sort((a, b) => statSync(b).size - statSync(a).size);
}

test('a damaged blob of a step is made again by every export', async () => {
  await using rig = await rigged();
  for (const [name, command] of Object.entries(EXPORTS)) {
    await rig.kiln(command('first'), { expect: 0 });
    rmSync(rig.path('first'), { recursive: true });
    // The blobs of the base cannot be made again, so only those of the step's layer are damaged.
    const base = layerBlobs(rig).find(
      (path) => statSync(path).size > 200_000 && readFileSync(path).readUInt16BE(0) === 0x1f8b,
    )!;
    const own = layerBlobs(rig).filter((path) => path !== base && !isFormOf(path, base));
    assert.ok(own.length > 0, name);
    for (const blob of own) flip(blob);
    const again = await rig.kiln(command('again'), { expect: undefined });
    assert.is(again.code, 0, `${name}: ${again.stderr}`);
    assert.equal(await wrongIn(rig, rig.path('again')), [], name);
    rmSync(rig.path('again'), { recursive: true });
  }
});

/** A large blob is one of the base, because the layer of the step is small. */
function isFormOf(path: string, base: string): boolean {
  return statSync(path).size > statSync(base).size / 2;
}

test('a damaged blob of a base is made again, or is an error until a new load', async () => {
  await using rig = await rigged();
  const { digest } = JSON.parse(readFileSync(await manifestOf(rig, 'busybox'), 'utf8')).layers[0];
  const blob = `${rig.store}/blobs/sha256/${digest.slice('sha256:'.length)}`;
  for (const [name, command] of Object.entries(EXPORTS)) {
    for (const other of layerBlobs(rig)) if (other !== blob) rmSync(other);
    flip(blob);
    const ran = await rig.kiln(command('out'));
    assert.not(existsSync(blob), `${name}: it is gone from the store`);
    if (command('')[0] === 'build') {
      // Packing the files of this image gives the same tar, as the recorded diffID shows.
      assert.is(ran.code, 0, `${name}: ${ran.stderr}`);
      assert.equal(await wrongIn(rig, rig.path('out')), [], name);
    } else {
      assert.is(ran.code, 1, `${name}: ${ran.stderr}`);
      assert.match(ran.stderr, /the blob .* is damaged: .*KILN_BLOB_CORRUPT\]\nhint: /, name);
      assert.not(existsSync(rig.path('out')) && statSync(rig.path('out')).isFile(), name);
      assert.not(existsSync(rig.path('out/index.json')), name);
    }
    assert.equal(
      readdirSync(rig.directory).filter((file) => file.endsWith('.part')),
      [],
    );
    rmSync(rig.path('out'), { recursive: true, force: true });
    await rig.kiln(['load', '--quiet', '--input', testImage('busybox')], { expect: 0 });
    await rig.kiln(command('out'), { expect: 0 });
    assert.equal(await wrongIn(rig, rig.path('out')), [], name);
    rmSync(rig.path('out'), { recursive: true });
  }
});

/** The path of the blob with the manifest of an image for this machine. */
async function manifestOf(rig: Rig, image: string): Promise<string> {
  const id = JSON.parse((await rig.kiln(['inspect', image], { expect: 0 })).stdout)[0].Id;
  const found = globSync(`${rig.store}/blobs/sha256/*`).find((path) => {
    const bytes = readFileSync(path);
    return bytes[0] === 0x7b && JSON.parse(bytes.toString()).config?.digest === id;
  });
  assert.ok(found);
  return found;
}

registryTest(
  'a damaged blob of a step is made again for a push, and the image can be pulled',
  async () => {
    await using rig = await rigged();
    await using registry = await startRegistry();
    const pushes: Readonly<Record<string, (name: string) => readonly string[]>> = {
      push: (name) => ['push', 'img', name],
      copy: (name) => ['copy', 'store:img', name],
      build: (name) => ['build', '-o', `type=image,push=true,name=${name}`, 'c'],
      cache: (name) => ['build', '--cache-to', `type=registry,mode=max,ref=${name}`, 'c'],
    };
    for (const [how, command] of Object.entries(pushes)) {
      // The blob is made first, so that it can be damaged. Each push has another repository, so
      // that the blob is sent.
      await rig.kiln(['build', '-o', 'type=oci,dest=out', 'c'], { expect: 0 });
      for (const blob of layerBlobs(rig)) if (statSync(blob).size < 200_000) flip(blob);
      const ran = await rig.kiln(command(`${registry.host}/${how}:1`));
      assert.is(ran.code, 0, `${how}: ${ran.stderr}`);
      if (how === 'cache') continue;
      await rig.kiln(['copy', `${registry.host}/${how}:1`, 'oci-archive:arrived'], { expect: 0 });
      assert.equal(await wrongIn(rig, rig.path('arrived')), [], how);
      rmSync(rig.path('arrived'));
    }
  },
);

test('a damaged config or manifest is an error, and nothing is written', async () => {
  await using rig = await rigged();
  const documents = globSync(`${rig.store}/blobs/sha256/*`).filter(
    (path) => readFileSync(path)[0] === 0x7b,
  );
  const image = JSON.parse((await rig.kiln(['inspect', 'img'], { expect: 0 })).stdout)[0];
  const config = documents.find((path) => `sha256:${path.split('/').at(-1)}` === image.Id)!;
  assert.ok(config);
  flip(config);
  for (const [name, command] of Object.entries(EXPORTS).filter(
    ([, make]) => make('').includes('img') || make('').includes('store:img'),
  )) {
    const ran = await rig.kiln(command('out'));
    assert.is(ran.code, 1, name);
    assert.match(ran.stderr, /KILN_BLOB_(CORRUPT|MISSING)/, name);
    assert.not(existsSync(rig.path('out/index.json')), name);
    if (existsSync(rig.path('out'))) rmSync(rig.path('out'), { recursive: true });
  }
  await rig.build('c', '-t', 'img');
  await rig.kiln(['save', '-o', 'out', 'img'], { expect: 0 });
  assert.equal(await wrongIn(rig, rig.path('out')), []);
});

test('changed files of a layer are an error, and the next build makes it again', async () => {
  await using rig = await rigged();
  for (const name of ['save', 'oci archive'] as const) {
    for (const blob of layerBlobs(rig)) if (statSync(blob).size < 200_000) rmSync(blob);
    const file = globSync(`${rig.store}/layers/*/fs/f`)[0]!;
    writeFileSync(file, 'y'.repeat(100_000));
    const ran = await rig.kiln(EXPORTS[name]!('out'));
    assert.is(ran.code, 1, `${name}: ${ran.stderr}`);
    assert.match(ran.stderr, 'KILN_STORE_DAMAGED', name);
    assert.not(existsSync(rig.path('out')));
    await rig.build('c', '-t', 'img');
    assert.is(
      (await rig.kiln(['run', 'img', 'head', '-c', '3', '/f'], { expect: 0 })).stdout,
      'xxx',
      name,
    );
    await rig.kiln(EXPORTS[name]!('out'), { expect: 0 });
    assert.equal(await wrongIn(rig, rig.path('out')), [], name);
    rmSync(rig.path('out'));
    await rig.kiln(['prune', '--force', '--filter', 'type=exec.cachemount'], { expect: 0 });
    assert.is(globSync(`${rig.store}/layers/*/fs/f`).length, 1, 'the changed one is collected');
  }
});

test.run();
