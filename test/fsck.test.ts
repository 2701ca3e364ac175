import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig, run, steps, testImage } from './rig.ts';

async function prepared(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\nCOPY a /a\nRUN head -c 100000 /dev/urandom > /r && md5sum /r > /sum\n',
    a: 'a',
  });
  await rig.build('c', '-t', 'x');
  return rig;
}

async function isSound(rig: Rig): Promise<void> {
  const { stdout } = await rig.kiln(['fsck'], { expect: 0 });
  assert.match(stdout, 'the store is sound');
}

/** The layer directories that steps made (those of images have longer names). */
function stepLayers(rig: Rig): string[] {
  return globSync(`${rig.store}/layers/*`).filter(
    (path) => (path.split('/').at(-1) ?? '').length === 32,
  );
}

test('a store after normal use is sound', async () => {
  await using rig = await prepared();
  const { stdout } = await rig.kiln(['fsck'], { expect: 0 });
  assert.match(stdout, /verified: \d+ blobs, 3 layers, 3 records, 2 images\nthe store is sound/);
});

test('layers of repeated copies, which are mostly hard links, match their images', async () => {
  await using rig = await Rig.create('busybox');
  const files = Object.fromEntries(
    Array.from({ length: 500 }, (_, at) => [`tree/d${at % 7}/f${at}`, `${at} `.repeat(8000)]),
  );
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY tree /tree\n', ...files });
  // In the first tenth of a second of a file, its times do not show whether it has changed.
  await new Promise((done) => setTimeout(done, 150));
  const edits = [undefined, 'tree/d3/f10', 'tree/d6/f6', 'tree/d0/new', 'tree/d0/f0'];
  for (const [round, changed] of edits.entries()) {
    if (changed) rig.write('c', { [changed]: `changed ${changed}` });
    // After a removal the layer cannot be a version of the earlier one (versions.test.ts).
    if (changed) rmSync(rig.path(`c/tree/d1/f${1 + 7 * round}`));
    await rig.build('c', '-t', `x:${changed ? changed.replaceAll('/', '-') : 'first'}`);
  }
  assert.ok(globSync(`${rig.store}/layers/*/trail`).length === 5);
  const linked = globSync(`${rig.store}/layers/*/fs/tree/d5/f5`).map(
    (path) => statSync(path).nlink,
  );
  assert.equal(linked, [5, 5, 5, 5, 5]);
  await isSound(rig);
  const shown = await rig.kiln(['run', 'x:tree-d0-f0', 'cat', '/tree/d3/f10', '/tree/d0/f0'], {
    expect: 0,
  });
  assert.is(shown.stdout, 'changed tree/d3/f10changed tree/d0/f0');
});

test('a changed file of a layer is found, and the next build is right after a repair', async () => {
  await using rig = await prepared();
  const file = stepLayers(rig)
    .map((layer) => `${layer}/fs/r`)
    .find((path) => statSync(path, { throwIfNoEntry: false }));
  appendFileSync(file!, 'x');
  const { stdout } = await rig.kiln(['fsck'], { expect: 1 });
  assert.match(stdout, /the layer [0-9a-f]{32} has files that were changed after it was made\n/);
  assert.match(
    stdout,
    /image docker\.io\/library\/x:latest lacks the layer[\s\S]*problems found: 2/,
  );
  assert.match(
    (await rig.kiln(['fsck', '--repair'], { expect: 0 })).stdout,
    /\(it was removed; its step runs again\)/,
  );
  await isSound(rig);
  const plain = await rig.build('c', '-t', 'x');
  assert.is([...steps(plain)].find(([name]) => /RUN/.test(name))?.[1], 'DONE');
  assert.is([...steps(plain)].find(([name]) => /COPY/.test(name))?.[1], 'CACHED');
  await rig.kiln(['run', 'x', 'md5sum', '-c', '/sum'], { expect: 0 });
});

test('a layer whose directory is gone is found and forgotten', async () => {
  await using rig = await prepared();
  for (const layer of stepLayers(rig)) rmSync(layer, { recursive: true });
  assert.match((await rig.kiln(['fsck'], { expect: 1 })).stdout, /has no files/);
  await rig.kiln(['fsck', '--repair'], { expect: 0 });
  await isSound(rig);
  await rig.build('c', '-t', 'x');
  assert.is(await cat(rig, 'x', '/a'), 'a');
});

test('a truncated blob is found, and the next build rewrites a damaged document', async () => {
  await using rig = await prepared();
  for (const path of globSync(`${rig.store}/blobs/sha256/*`))
    if (statSync(path).size < 3000) truncateSync(path, 10);
  const { stdout } = await rig.kiln(['fsck'], { expect: 1 });
  assert.match(stdout, /the blob sha256:[0-9a-f]{64} does not match its name/);
  assert.match(stdout, /the image docker\.io\/library\/x:latest lacks the document/);
  await rig.kiln(['fsck', '--repair'], { expect: 0 });
  await isSound(rig);
  assert.equal((await rig.kiln(['images', '-q'], { expect: 0 })).stdout, '');
});

/** The documents of an image that it cannot do without, each by the field that only it has. */
const DOCUMENTS: readonly [name: string, field: string, message: string][] = [
  ['manifest', 'layers', 'manifest of sha256:'],
  ['config', 'rootfs', 'document sha256:'],
];

for (const [document, field, message] of DOCUMENTS)
  test(`an image without the ${document} of one platform is found, and not kept`, async () => {
    await using rig = await Rig.create();
    rig.write('c', { Dockerfile: 'FROM scratch\nCOPY a /a\n', a: 'a' });
    await rig.build('c', '-t', 'two', '--platform=linux/amd64,linux/arm64', '--provenance=false');
    await isSound(rig);
    const path = globSync(`${rig.store}/blobs/sha256/*`).find((blob) => hasField(blob, field));
    rmSync(path!);
    assert.match(
      (await rig.kiln(['fsck'], { expect: 1 })).stdout,
      `the image docker.io/library/two:latest lacks the ${message}`,
    );
    await rig.kiln(['fsck', '--repair'], { expect: 0 });
    await isSound(rig);
    assert.is((await rig.kiln(['images', '-q'], { expect: 0 })).stdout, '');
  });

/** True for a blob that is a JSON object with this field. */
function hasField(blob: string, field: string): boolean {
  const text = readFileSync(blob, 'utf8');
  return text.startsWith('{') && field in JSON.parse(text);
}

test('without its index the store is sound again, and images keep their names', async () => {
  await using rig = await prepared();
  for (const path of globSync(`${rig.store}/kiln.db*`)) rmSync(path);
  const { stderr } = await rig.kiln(['images'], { expect: 0 });
  assert.match(stderr, /the store's index was missing and has been rebuilt/);
  await isSound(rig);
  assert.is(await cat(rig, 'x', '/a'), 'a');
});

test('without its layers the store says so, steps run again, and it is sound', async () => {
  await using rig = await prepared();
  rmSync(`${rig.store}/layers`, { recursive: true });
  const built = await rig.build('c', '-t', 'x');
  assert.match(
    built,
    /layers of the store was missing: its contents are made again when they are needed/,
  );
  assert.is(steps(built).get('[2/3] COPY a /a'), 'DONE');
  assert.is((await rig.kiln(['run', 'x', 'cat', '/a'], { expect: 0 })).stdout, 'a');
  await isSound(rig);
});

/** What may be found in the place of a file or a directory of the store. */
const STRANGERS: Readonly<Record<string, (path: string) => void>> = {
  FIFO: (path) => execFileSync('mkfifo', [path]),
  'link to itself': (path) => symlinkSync(path, path),
  'link that leads nowhere': (path) => symlinkSync('/nowhere/at/all', path),
  'directory or file': (path) => {
    if (path.endsWith('.directory')) writeFileSync(path, 'x');
    else mkdirSync(`${path}/x`, { recursive: true });
  },
};

function replaceBy(make: (path: string) => void, path: string): void {
  const made = `${path}.${statSync(path).isDirectory() ? 'directory' : 'file'}`;
  make(made);
  rmSync(path, { recursive: true });
  renameSync(made, path);
}

for (const [stranger, make] of Object.entries(STRANGERS))
  test(`a ${stranger} in place of parts of the store is found, and a repair mends it`, async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', {
      Dockerfile: 'FROM busybox\nCOPY a /a\nRUN --mount=type=cache,target=/c date >/c/d\n',
      a: 'a',
    });
    await rig.build('c', '-t', 'x');
    await rig.build('c', '-t', 'y');
    const inStore = (pattern: string) =>
      globSync(`${rig.store}/${pattern}`).map((path) => relative(rig.store, path));
    const [layer, other] = stepLayers(rig).map((path) => relative(rig.store, path));
    const parts = [
      ...['images.json', 'snapshotter', 'statcache', `${layer}/layer.json`, `${other}`],
      ...inStore('blobs/sha256/*').slice(0, 2),
      ...inStore('caches/*/about.json'),
    ];
    // Without these two the store cannot be opened, and opening it makes them again.
    for (const part of [...parts, 'VERSION', 'logs']) replaceBy(make, join(rig.store, part));
    const { stdout } = await rig.kiln(['fsck'], { expect: 1 });
    for (const part of parts) assert.match(stdout, `${part} in the store is not a `);
    await rig.kiln(['fsck', '--repair'], { expect: 0 });
    await isSound(rig);
    await rig.kiln(['load', '--quiet', '--input', testImage('busybox')], { expect: 0 });
    await rig.build('c', '-t', 'x');
    assert.is(await cat(rig, 'x', '/a'), 'a');
    await isSound(rig);
  });

test('a VERSION file of other bytes is written again, that of a later format is kept', async () => {
  await using rig = await prepared();
  for (const text of ['1\u001a', '', 'x', '0']) {
    writeFileSync(`${rig.store}/VERSION`, text);
    const { stderr } = await rig.kiln(['images'], { expect: 0 });
    assert.match(stderr, /the store's VERSION file was damaged and was written again/);
  }
  for (const text of ['2\n', '2.1\n']) {
    writeFileSync(`${rig.store}/VERSION`, text);
    await rig.kiln(['images'], { expect: 1 });
    assert.is(readFileSync(`${rig.store}/VERSION`, 'utf8'), text);
  }
});

/** Makes a store with a copy of it, so that it can be damaged many times. */
async function twoStages(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM busybox AS a
COPY in /in
RUN cp /in /made
FROM busybox
COPY --from=a /in /made /
RUN cat /in /made > /both
`,
    in: 'whole\n'.repeat(1000),
  });
  await rig.build('c', '-t', 'x', '--build-arg', 'SOURCE_DATE_EPOCH=1700000000');
  await run(['cp', '-a', rig.store, rig.path('whole')], { expect: 0 });
  return rig;
}

async function restore(rig: Rig): Promise<void> {
  rmSync(rig.store, { recursive: true });
  await run(['cp', '-a', rig.path('whole'), rig.store], { expect: 0 });
}

test('a changed byte in any layer is found, and after a repair no build exports it', async () => {
  await using rig = await twoStages();
  const files = globSync(`${rig.path('whole')}/layers/*/fs/{in,made,both}`).map((path) =>
    path.slice(rig.path('whole').length),
  );
  assert.is(files.length, 5);
  for (const file of files) {
    await restore(rig);
    const bytes = readFileSync(rig.store + file);
    bytes[500]! ^= 1;
    writeFileSync(rig.store + file, bytes);
    assert.match(
      (await rig.kiln(['fsck'], { expect: 1 })).stdout,
      /has files that were changed after it was made/,
      file,
    );
    await rig.kiln(['fsck', '--repair'], { expect: 0 });
    await isSound(rig);
    await rig.build('c', '-t', 'x', '--build-arg', 'SOURCE_DATE_EPOCH=1700000000');
    assert.is(await cat(rig, 'x', '/both'), 'whole\n'.repeat(2000), file);
  }
});

test('an index that is empty, cut or garbage costs cache, but all commands work', async () => {
  await using rig = await twoStages();
  const index = `${rig.store}/kiln.db`;
  const damages: Record<string, () => void> = {
    'of 0 bytes': () => writeFileSync(index, ''),
    'without its end': () => truncateSync(index, statSync(index).size - 3000),
    'the header alone': () => truncateSync(index, 4096),
    'another file': () => writeFileSync(index, 'not an index\n'.repeat(5000)),
    'pages of zeros': () => writeFileSync(index, readFileSync(index).fill(0, 8 * 4096, 12 * 4096)),
    'half of each JSON text': () => {
      const db = new DatabaseSync(index);
      for (const [table, column] of [
        ['record', 'outputs'],
        ['record', 'parts'],
        ['images', 'target'],
        ['images', 'configs'],
      ])
        db.exec(`UPDATE ${table} SET ${column} = substr(${column}, 1, length(${column}) / 2)`);
      db.close();
    },
    'digests that are none': () => {
      const db = new DatabaseSync(index);
      db.exec(
        "UPDATE layers SET diff_id = 'sha256:x', created = -1; UPDATE forms SET digest = " +
          "'../../x', size = -5; UPDATE link SET key = 'y'",
      );
      db.close();
    },
  };
  const commands = [
    ['fsck', '--repair'],
    ['build', '-q', '-t', 'y', 'c'],
    ['images'],
    ['prune', '--force'],
    ['du'],
    ['run', 'x', 'true'],
  ];
  for (const [at, [what, damage]] of Object.entries(damages).entries()) {
    // Each kind of damage is met by two of the commands, in turn.
    for (const first of [commands[at % 6]!, commands[(at + 5) % 6]!]) {
      await restore(rig);
      // Builds leave rows in the log of the index, which would hide the damage.
      const db = new DatabaseSync(index);
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      db.close();
      damage();
      const { code, stderr } = await rig.kiln(first);
      assert.is(code, 0, `${what}, ${first.join(' ')}: ${stderr}`);
      assert.match(
        (await rig.kiln(['images'], { expect: 0 })).stdout,
        /^x +latest/m,
        `${what}, ${first.join(' ')}`,
      );
    }
    await rig.kiln(['fsck', '--repair'], { expect: 0 });
    await isSound(rig);
    await rig.build('c', '-t', 'x');
    assert.is(await cat(rig, 'x', '/both'), 'whole\n'.repeat(2000), what);
  }
});

test('using a layer that is gone is an error, and a build makes the layer again', async () => {
  await using rig = await twoStages();
  const both = globSync(`${rig.store}/layers/*/fs/both`)[0]!;
  rmSync(dirname(dirname(both)), { recursive: true });
  rig.write('on', { Dockerfile: 'FROM x\nRUN true\n' });
  rig.write('from', { Dockerfile: 'FROM busybox\nCOPY --from=x /both /\n' });
  for (const args of [
    ['run', 'x', 'true'],
    ['save', '-o', 'o.tar', 'x'],
    ['build', 'on'],
    ['build', 'from'],
  ]) {
    const { code, stderr } = await rig.kiln(args);
    assert.is(code, 1, args.join(' '));
    assert.match(stderr, /KILN_(LAYER|BLOB)_MISSING/, args.join(' '));
  }
  for (const args of [
    ['history', 'x'],
    ['inspect', 'x'],
  ])
    await rig.kiln(args, { expect: 0 });
  await rig.build('c', '-t', 'x');
  assert.is(await cat(rig, 'x', '/both'), 'whole\n'.repeat(2000));
  await rig.kiln(['build', '-q', 'from'], { expect: 0 });
  await isSound(rig);
});

test('a directory that no row names is found and removed', async () => {
  await using rig = await prepared();
  rig.write('store/layers/00000000000000000000000000000000/fs', { stray: '' });
  writeFileSync(`${rig.store}/layers/00000000000000000000000000000000/layer.json`, '{}');
  assert.match(
    (await rig.kiln(['fsck'], { expect: 1 })).stdout,
    /the index does not know the layer 0{32}/,
  );
  await rig.kiln(['fsck', '--repair'], { expect: 0 });
  assert.not(readdirSync(`${rig.store}/layers`).includes('0'.repeat(32)));
  await isSound(rig);
});

test.run();
