import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Member } from '../../snapshotter/layer/archive.fixture.ts';
import { compareImages } from './compare-images.ts';
import { type LayerMembers, MadeContents } from './testing.ts';

const signal = new AbortController().signal;
const at = (sec: number) => ({ mtime: { sec, nsec: 0 } });
const text = (path: string, content: string, more: Partial<Member> = {}): Member => ({
  path,
  content,
  ...more,
});

async function compared(from: readonly LayerMembers[], to: readonly LayerMembers[], limit = 100) {
  using made = new MadeContents();
  return await compareImages(await made.of(from), await made.of(to), { limit, signal });
}

test('files are compared by what they are, those of one size by content', async () => {
  const base = [text('base', 'x'.repeat(100))];
  const { files, layers, version } = await compared(
    [
      base,
      [
        text('same', 'abc', at(1)),
        text('other', 'abc', at(1)),
        text('grown', 'a', at(1)),
        text('mode', 'a', { mode: 0o644 }),
        text('owner', 'a', { uid: 1 }),
        { path: 'link', type: 'symlink', linkPath: 'a' },
        { path: 'node', type: 'char', devMajor: 1, devMinor: 3 },
        text('type', ''),
        text('gone', 'four'),
      ],
    ],
    [
      base,
      [
        text('same', 'abc', at(2)),
        text('other', 'abd', at(2)),
        text('grown', 'a'.repeat(50), at(1)),
        text('mode', 'a', { mode: 0o755 }),
        text('owner', 'a', { uid: 2 }),
        { path: 'link', type: 'symlink', linkPath: 'b' },
        { path: 'node', type: 'char', devMajor: 1, devMinor: 5 },
        { path: 'type', type: 'fifo' },
        text('new', 'x'.repeat(20)),
      ],
    ],
  );
  assert.is(version, 1);
  assert.equal(layers, { shared: 1, removed: [1], added: [1] });
  assert.equal(
    files.list.map(({ path, change, what }) => [path, change, ...what].join(' ')),
    [
      'grown changed content',
      'new added',
      'gone removed',
      'link changed target',
      'mode changed mode',
      'node changed device',
      'other changed content time',
      'owner changed owner',
      'type changed type',
    ],
  );
  assert.equal(files.added, { files: 1, bytes: 20 });
  assert.equal(files.removed, { files: 1, bytes: -4 });
  assert.equal(files.changed, { files: 7, bytes: 49 });
  assert.is(files.touched, 1);
});

test('what is in a layer that both images have is not read, and not different', async () => {
  using made = new MadeContents();
  const base = [text('a', 'x'), text('b', 'y')];
  const from = await made.of([base]);
  const to = await made.of([base, [text('c', 'z')]]);
  const unread = { ...from, sources: [{ kind: 'missing' as const }] };
  const { files } = await compareImages(unread, to, { signal });
  assert.equal(
    files.list.map(({ path }) => path),
    ['c'],
  );
});

test('a list of files is as long as was asked for, and the sums are of all', async () => {
  const many = Array.from({ length: 30 }, (_, count) => text(`f${count}`, 'x'.repeat(count)));
  const { files } = await compared([[text('a', '')]], [[text('a', ''), ...many]], 3);
  assert.equal(
    files.list.map(({ path }) => path),
    ['f29', 'f28', 'f27'],
  );
  assert.equal(files.added, { files: 30, bytes: (29 * 30) / 2 });
});

test('configs are compared by field, environment and labels by name', async () => {
  using made = new MadeContents();
  const from = await made.of([], { config: { Env: ['A=1', 'B=2'], Cmd: ['a'], User: 'x' } });
  const to = await made.of([], {
    architecture: 'arm64',
    config: { Env: ['A=1', 'B=3'], Cmd: ['a', 'b'], Labels: { l: '<b>' } },
  });
  const { config } = await compareImages(from, to, { signal });
  assert.equal(config, [
    { field: 'Cmd', from: '["a"]', to: '["a","b"]' },
    { field: 'Env B', from: '2', to: '3' },
    { field: 'Labels l', to: '<b>' },
    { field: 'User', from: 'x' },
    { field: 'architecture', from: 'amd64', to: 'arm64' },
  ]);
});

const dpkg = (...packages: string[]) =>
  packages
    .map((one) => {
      const [name, version] = one.split('=');
      return `Package: ${name}\nStatus: install ok installed\nVersion: ${version}\n`;
    })
    .join('\n');
const npm = (name: string, version: string) => JSON.stringify({ name, version });

test('packages of dpkg, apk and npm are compared by version', async () => {
  const { packages } = await compared(
    [
      [
        text('var/lib/dpkg/status', dpkg('bash=5.1', 'curl=7', 'gone=1')),
        text('lib/apk/db/installed', 'P:musl\nV:1.2\n\n'),
        text('app/node_modules/a/package.json', npm('a', '1.0.0')),
        text('app/node_modules/@s/b/package.json', npm('@s/b', '1.0.0')),
        text('app/node_modules/a/test/package.json', npm('no', '1.0.0')),
      ],
    ],
    [
      [
        text('var/lib/dpkg/status', dpkg('bash=5.2', 'curl=7')),
        text('var/lib/dpkg/status.d/tz', dpkg('tzdata=2024')),
        text('usr/lib/apk/db/installed', 'P:musl\nV:1.3\n\n'),
        text('app/node_modules/a/package.json', npm('a', '1.0.0')),
        text('app/node_modules/x/node_modules/a/package.json', npm('a', '2.0.0')),
        text('app/node_modules/bad/package.json', '{"name":"<script>","version":"1"}'),
        text('app/node_modules/worse/package.json', '[[['),
      ],
    ],
  );
  assert.equal(packages, {
    added: 1,
    removed: 2,
    changed: 3,
    list: [
      { kind: 'apk', name: 'musl', from: '1.2', to: '1.3' },
      { kind: 'deb', name: 'bash', from: '5.1', to: '5.2' },
      { kind: 'deb', name: 'gone', from: '1' },
      { kind: 'deb', name: 'tzdata', to: '2024' },
      { kind: 'npm', name: '@s/b', from: '1.0.0' },
      { kind: 'npm', name: 'a', from: '1.0.0', to: '1.0.0, 2.0.0' },
    ],
    unreadable: [],
  });
});

test('a lock file of npm counts where no packages are installed', async () => {
  const lock = (version: string) =>
    JSON.stringify({
      packages: { '': { version: '9' }, 'node_modules/a': { version }, 'node_modules/@s/b': {} },
    });
  const { packages } = await compared(
    [[text('app/package-lock.json', lock('1.0.0'))]],
    [[text('app/package-lock.json', lock('1.1.0'))]],
  );
  assert.equal(packages.list, [{ kind: 'npm', name: 'a', from: '1.0.0', to: '1.1.0' }]);
});

/** A header of rpm with a name, a version and a release. */
function rpmHeader(name: string, version: string, release: string): Buffer {
  const values = [name, version, release].map((value) => Buffer.from(`${value}\0`));
  const index = Buffer.alloc(8 + values.length * 16);
  index.writeUInt32BE(values.length, 0);
  index.writeUInt32BE(
    values.reduce((sum, { length }) => sum + length, 0),
    4,
  );
  let offset = 0;
  for (const [which, value] of values.entries()) {
    const start = 8 + which * 16;
    index.writeUInt32BE(1000 + which, start);
    index.writeUInt32BE(6, start + 4);
    index.writeUInt32BE(offset, start + 8);
    index.writeUInt32BE(1, start + 12);
    offset += value.length;
  }
  return Buffer.concat([index, ...values]);
}

test("rpm's database is read where Kiln knows its form, and named where it does not", async () => {
  using made = new MadeContents();
  const database = (version: string): Buffer => {
    const path = join(made.directory, `rpm-${version}.sqlite`);
    const db = new DatabaseSync(path);
    db.exec('CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)');
    db.prepare('INSERT INTO Packages (blob) VALUES (?)').run(rpmHeader('bash', version, '1.el9'));
    db.close();
    return readFileSync(path);
  };
  const image = (content: Buffer, name = 'rpmdb.sqlite') =>
    made.of([[{ path: `var/lib/rpm/${name}`, content }]]);
  const { packages } = await compareImages(
    await image(database('5.1')),
    await image(database('5.2')),
    { signal },
  );
  assert.equal(packages.list, [{ kind: 'rpm', name: 'bash', from: '5.1-1.el9', to: '5.2-1.el9' }]);
  const old = await compareImages(
    await image(database('5.0')),
    await image(Buffer.from('b'), 'Packages'),
    { signal },
  );
  assert.equal(old.packages.unreadable, [
    { kind: 'rpm', text: 'var/lib/rpm/Packages cannot be read' },
  ]);
});

test('a database that is a hard link to a lower layer is read where its bytes are', async () => {
  const status = dpkg('bash=5.1');
  const { packages } = await compared(
    [[text('keep', status)], [{ path: 'var/lib/dpkg/status', type: 'hardlink', linkPath: 'keep' }]],
    [[text('var/lib/dpkg/status', dpkg('bash=5.2'))]],
  );
  assert.equal(packages.list, [{ kind: 'deb', name: 'bash', from: '5.1', to: '5.2' }]);
});

test.run();
