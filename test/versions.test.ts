import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, testImage } from './rig.ts';

/**
 * A large COPY that is made again is a new version of the earlier layer where that can be, and
 * otherwise a layer of its own (decision 064). Images and trees must be the same either way.
 */

/** In the first tenth of a second of a file, its times do not show whether it has changed. */
const aged = () => new Promise((done) => setTimeout(done, 150));

const EPOCH = { SOURCE_DATE_EPOCH: '1600000000' };

async function prepared(dockerfile: string): Promise<Rig> {
  const rig = await Rig.create('busybox');
  const files = Object.fromEntries(
    Array.from({ length: 600 }, (_, at) => [`tree/d${at % 7}/e/f${at}`, `${at} `.repeat(3000)]),
  );
  rig.write('c', { Dockerfile: dockerfile, 'tree/top': 'top', ...files });
  symlinkSync('top', rig.path('c/tree/link'));
  await aged();
  return rig;
}

/** The layers that are versions of others. */
function versions(rig: Rig): string[] {
  return readdirSync(join(rig.store, 'layers')).filter((name) =>
    /^[0-9a-f]{24}o[0-9a-f]{32}$/.test(name),
  );
}

const LIST =
  'find /data /app /srv 2>/dev/null | sort | while read f; do ' +
  'stat -c "%n %F %a %u %g" "$f"; [ -f "$f" ] && md5sum < "$f"; ' +
  '[ -L "$f" ] && readlink "$f"; done; true';

interface Built {
  readonly digest: string;
  readonly tree: string;
}

/** The digest of an image for others, and its tree as a step sees it. */
async function built(rig: Rig, store = rig.store): Promise<Built> {
  const digest = await builtDigest(rig, store);
  const { stdout } = await rig.kiln(['run', 'x', 'sh', '-c', LIST], {
    env: { KILN_ROOT: store },
    expect: 0,
  });
  return { digest, tree: stdout };
}

async function builtDigest(rig: Rig, store = rig.store): Promise<string> {
  const metadata = rig.path('m.json');
  await rig.kiln(
    [
      'build',
      '--progress=plain',
      '--output',
      'type=image,name=x',
      '--output',
      'type=oci,dest=o.tar,rewrite-timestamp=true',
      '--metadata-file',
      metadata,
      'c',
    ],
    { env: { ...EPOCH, KILN_ROOT: store }, expect: 0 },
  );
  return JSON.parse(readFileSync(metadata, 'utf8'))['containerimage.digest'];
}

/** The same, made in a store that remembers no copies. */
async function madeAnew(rig: Rig): Promise<Built> {
  return await built(rig, await forgetful(rig));
}

/** The path of the other store. */
async function forgetful(rig: Rig): Promise<string> {
  const store = rig.path('other');
  const env = { KILN_ROOT: store };
  if (!existsSync(store))
    await rig.kiln(['load', '--quiet', '--input', testImage('busybox')], { env, expect: 0 });
  rmSync(join(store, 'copies'), { recursive: true, force: true });
  return store;
}

async function isSound(rig: Rig): Promise<void> {
  const { stdout } = await rig.kiln(['fsck'], { expect: 0 });
  assert.match(stdout, 'the store is sound');
}

function replace(rig: Rig, name: string, text: string): void {
  writeFileSync(rig.path('c/next'), text);
  renameSync(rig.path('c/next'), rig.path('c', name));
}

interface Edit {
  readonly what: string;
  readonly isVersion: boolean;
  readonly edit: (path: (name: string) => string, rig: Rig) => void;
}

const LAST_VERSION = 'a link becomes a file, and a file a link';

const EDITS: readonly Edit[] = [
  {
    what: 'a file is replaced',
    isVersion: true,
    edit: (_, rig) => replace(rig, 'tree/d3/e/f10', 'replaced'),
  },
  {
    what: 'a file is written to in place',
    isVersion: true,
    edit: (path) => writeFileSync(path('d6/e/f6'), `${'6 '.repeat(2999)}7 `),
  },
  {
    what: 'a file is added',
    isVersion: true,
    edit: (path) => writeFileSync(path('d0/e/added'), 'added'),
  },
  {
    what: 'directories with a link are added',
    isVersion: true,
    edit(path) {
      mkdirSync(path('new/deep'), { recursive: true });
      chmodSync(path('new/deep'), 0o1770);
      writeFileSync(path('new/deep/f'), 'f');
      symlinkSync('../../top', path('new/deep/l'));
    },
  },
  {
    what: 'modes and owners change',
    isVersion: true,
    edit(path) {
      chmodSync(path('d1/e/f8'), 0o751);
      chownSync(path('d2/e/f9'), 12, 34);
      chmodSync(path('d4'), 0o700);
      chownSync(path('d5/e'), 56, 78);
    },
  },
  {
    what: 'a capability is set',
    isVersion: true,
    edit: (path) =>
      void execFileSync('python3', [
        '-c',
        'import os, sys; os.setxattr(sys.argv[1], "security.capability", ' +
          'bytes.fromhex("0100000200040000000000000000000000000000"))',
        path('d1/e/f15'),
      ]),
  },
  {
    what: 'a link leads elsewhere',
    isVersion: true,
    edit(path) {
      unlinkSync(path('link'));
      symlinkSync('d0/e/added', path('link'));
    },
  },
  {
    what: 'all files get second names elsewhere, which sets their times, and one is replaced',
    isVersion: true,
    edit(path, rig) {
      execFileSync('cp', ['-al', path('.'), rig.path('elsewhere')]);
      replace(rig, 'tree/d3/e/f10', 'replaced again');
    },
  },
  {
    what: 'the tree is made again with the same times and bytes, but for one file and one mode',
    isVersion: true,
    edit(path, rig) {
      execFileSync('cp', ['-a', path('.'), rig.path('again')]);
      rmSync(path('.'), { recursive: true });
      renameSync(rig.path('again'), path('.'));
      replace(rig, 'tree/d3/e/f10', 'replaced once more');
      chmodSync(path('d3/e/f17'), 0o600);
    },
  },
  {
    what: 'a file is copied with its times',
    isVersion: true,
    edit: (path) => void execFileSync('cp', ['-a', path('d2/e/f2'), path('d2/e/twin')]),
  },
  {
    what: LAST_VERSION,
    isVersion: true,
    edit(path) {
      unlinkSync(path('link'));
      writeFileSync(path('link'), 'no link');
      unlinkSync(path('d1/e/f1'));
      symlinkSync('f8', path('d1/e/f1'));
    },
  },
  { what: 'a file is removed', isVersion: false, edit: (path) => unlinkSync(path('d3/e/f3')) },
  {
    what: 'a file is added after another was removed',
    isVersion: true,
    edit: (path) => writeFileSync(path('d3/e/f3'), 'again'),
  },
  {
    what: 'a file is renamed',
    isVersion: false,
    edit: (path) => renameSync(path('d4/e/f4'), path('d4/e/renamed')),
  },
  {
    what: 'a file becomes a directory',
    isVersion: false,
    edit(path) {
      unlinkSync(path('d5/e/f5'));
      mkdirSync(path('d5/e/f5'));
    },
  },
  {
    what: 'and a file again',
    isVersion: false,
    edit(path) {
      rmSync(path('d5/e/f5'), { recursive: true });
      writeFileSync(path('d5/e/f5'), 'a file again');
    },
  },
  {
    what: 'the copy becomes a name of the file, which changes no bytes, and one is added',
    isVersion: false,
    edit(path) {
      unlinkSync(path('d2/e/twin'));
      linkSync(path('d2/e/f2'), path('d2/e/twin'));
      writeFileSync(path('d2/e/one'), 'one');
    },
  },
  {
    what: 'a file gets a second name',
    isVersion: false,
    edit: (path) => linkSync(path('d0/e/f0'), path('d6/e/second')),
  },
];

test('after each kind of edit, image and tree are those of a whole copy', async () => {
  await using rig = await prepared('FROM busybox\nCOPY tree /data\nRUN true\n');
  await builtDigest(rig);
  for (const { what, isVersion, edit } of EDITS) {
    const before = versions(rig).length;
    edit((name) => rig.path('c/tree', name), rig);
    await aged();
    const digest = await builtDigest(rig);
    assert.is(versions(rig).length - before, isVersion ? 1 : 0, what);
    assert.is(digest, await builtDigest(rig, await forgetful(rig)), what);
    if (what === LAST_VERSION) assert.equal(await built(rig), await madeAnew(rig));
  }
  await isSound(rig);
});

test('what the tree below has is not hidden by a version that goes elsewhere', async () => {
  const rigged = await prepared('FROM busybox\nWORKDIR /app\nCOPY tree .\nRUN true\n');
  await using rig = rigged;
  await built(rig);
  const edits: readonly (readonly [boolean, () => void])[] = [
    // The directory is there already, the file is not.
    [true, () => writeFileSync(rig.path('c/tree/top'), 'other')],
    [true, () => writeFileSync(rig.path('c/tree/d2/e/f2'), 'other')],
    // The tree below is another one.
    [
      false,
      () =>
        rig.write('c', {
          Dockerfile: 'FROM busybox\nRUN mkdir -p /app/d2/e && echo x > /app/top\nCOPY tree /app\n',
        }),
    ],
    [false, () => writeFileSync(rig.path('c/tree/top'), 'once more')],
    [false, () => chmodSync(rig.path('c/tree/d2'), 0o711)],
    [true, () => writeFileSync(rig.path('c/tree/d3/e/f3'), 'once more')],
  ];
  for (const [at, [isVersion, edit]] of edits.entries()) {
    const before = versions(rig).length;
    edit();
    await aged();
    const again = await built(rig);
    assert.is(versions(rig).length - before, isVersion ? 1 : 0, `edit ${at}`);
    assert.equal(again, await madeAnew(rig), `edit ${at}`);
  }
  await isSound(rig);
});

test('a linked copy is put on another base as a version, too', async () => {
  await using rig = await prepared('FROM busybox\nCOPY --link tree /data\n');
  await built(rig);
  replace(rig, 'tree/d3/e/f10', 'replaced');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\nRUN mkdir -p /data/d3/e && echo x > /data/d3/e/below\n' +
      'COPY --link tree /data\n',
  });
  await aged();
  const again = await built(rig);
  assert.is(versions(rig).length, 1);
  assert.match(again.tree, '/data/d3/e/below');
  assert.equal(again, await madeAnew(rig));
});

test('a version keeps its base, goes before it, and is made again when it is lost', async () => {
  await using rig = await prepared('FROM busybox\nCOPY tree /data\n');
  await built(rig);
  replace(rig, 'tree/d3/e/f10', 'replaced');
  await aged();
  const { tree, digest } = await built(rig);
  const [version = ''] = versions(rig);
  const base = version.slice(25);
  const layers = (name: string) => join(rig.store, 'layers', name);
  // The first image has lost its name, so only the version needs the base.
  await rig.kiln(['prune', '--all', '--force'], { expect: 0 });
  assert.ok(existsSync(layers(base)) && existsSync(layers(version)));
  assert.equal(await built(rig), { tree, digest });
  const du = await rig.kiln(['du', '--verbose'], { expect: 0 });
  assert.match(du.stdout, base);
  await rig.kiln(['rmi', 'x'], { expect: 0 });
  await rig.kiln(['prune', '--all', '--force'], { expect: 0 });
  assert.not(existsSync(layers(base)) || existsSync(layers(version)));
  assert.equal(await built(rig), { tree, digest });
  // A base that is gone takes its versions along.
  replace(rig, 'tree/d3/e/f10', 'replaced again');
  await aged();
  const later = await built(rig);
  const [second = ''] = versions(rig);
  rmSync(layers(second.slice(25)), { recursive: true });
  assert.equal(await built(rig), later);
  assert.is(versions(rig).length, 1, 'the version that lost its base is not used');
});

test('fsck finds a version whose files, or those of its base, were changed', async () => {
  for (const at of ['version', 'base'] as const) {
    await using rig = await prepared('FROM busybox\nCOPY tree /data\n');
    await built(rig);
    replace(rig, 'tree/d3/e/f10', 'replaced');
    await aged();
    const { tree, digest } = await built(rig);
    await isSound(rig);
    const [version = ''] = versions(rig);
    const file =
      at === 'version'
        ? join(rig.store, 'layers', version, 'over/data/d3/e/f10')
        : join(rig.store, 'layers', version.slice(25), 'fs/data/d5/e/f5');
    writeFileSync(file, 'damaged');
    const { stdout } = await rig.kiln(['fsck'], { expect: 1 });
    assert.match(stdout, `the layer ${version} has files that were changed`);
    await rig.kiln(['fsck', '--repair'], { expect: 0 });
    await isSound(rig);
    assert.equal(await built(rig), { tree, digest });
  }
});

test.run();
