import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Scan, scanTree } from './scan.ts';

const test = suite<{ dir: string }>('sbom');

test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kiln-sbom-'));
});
test.after.each((context) => rmSync(context.dir, { recursive: true, force: true }));

const treeOf = (dir: string) => join(dir, 'tree');

function put(dir: string, path: string, content: string | Uint8Array, mode = 0o644): string {
  const full = join(treeOf(dir), path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, content);
  chmodSync(full, mode);
  return full;
}

function scan(dir: string): Scan {
  mkdirSync(treeOf(dir), { recursive: true });
  return scanTree(treeOf(dir), (label) => {
    const path = mkdtempSync(join(dir, `${label}-`));
    return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
  });
}

const urls = ({ packages }: Scan) => packages.map(({ purl }) => purl);

function run(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  assert.is(status, 0, stderr);
}

/** An rpm database with packages, made by rpm itself. */
function rpmDatabase(
  dir: string,
  directory: string,
  specs: readonly Readonly<Record<string, string>>[],
): void {
  const top = join(dir, 'top');
  for (const [index, fields] of specs.entries()) {
    const spec = join(dir, `${index}.spec`);
    const tags = Object.entries({ Summary: 'x', BuildArch: 'noarch', ...fields }).map(
      ([name, value]) => `${name}: ${value}`,
    );
    writeFileSync(spec, `${tags.join('\n')}\n%description\nx\n%files\n`);
    run(
      'rpmbuild',
      '-bb',
      '--quiet',
      '--define',
      `_topdir ${top}`,
      '--define',
      `_dbpath ${dir}/db`,
      spec,
    );
  }
  const found = spawnSync('find', [top, '-name', '*.rpm'], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n');
  mkdirSync(join(treeOf(dir), directory), { recursive: true });
  const flags = [
    '--root',
    treeOf(dir),
    '--dbpath',
    `/${directory}`,
    '--justdb',
    '--nodeps',
    '--force-debian',
  ];
  run('rpm', ...flags, '-i', ...found);
}

const noRpm =
  spawnSync('rpmbuild', ['--version'], { stdio: 'ignore' }).status === 0
    ? undefined
    : 'rpm is not installed';
const real = (name: string, body: (context: { dir: string }) => void) => {
  if (noRpm) console.log(`SKIP ${name}: ${noRpm}`);
  else test(name, body);
};

real(
  "the packages of rpm's own database are found, in the directory of every distribution",
  ({ dir }) => {
    put(dir, 'etc/os-release', 'ID=fedora\nVERSION_ID=40\n');
    rpmDatabase(dir, 'usr/lib/sysimage/rpm', [
      {
        Name: 'hello',
        Version: '1.2.3',
        Release: '4.fc40',
        Epoch: '2',
        License: 'GPL-2.0-or-later AND MIT',
      },
      { Name: 'plain', Version: '7~rc1', Release: '1.fc40', License: 'GPLv2+' },
    ]);
    const found = scan(dir);
    assert.equal(found.unread, []);
    assert.equal(found.packages, [
      {
        name: 'hello',
        version: '2:1.2.3-4.fc40',
        licence: 'GPL-2.0-or-later AND MIT',
        purl: 'pkg:rpm/fedora/hello@1.2.3-4.fc40?arch=noarch&distro=fedora-40&epoch=2',
        foundIn: 'usr/lib/sysimage/rpm/rpmdb.sqlite',
      },
      {
        name: 'plain',
        version: '7~rc1-1.fc40',
        licence: undefined,
        purl: 'pkg:rpm/fedora/plain@7~rc1-1.fc40?arch=noarch&distro=fedora-40',
        foundIn: 'usr/lib/sysimage/rpm/rpmdb.sqlite',
      },
    ]);
  },
);

real('packages in the log beside the rpm database are found', ({ dir }) => {
  const directory = 'var/lib/rpm';
  rpmDatabase(dir, directory, [{ Name: 'first', Version: '1', Release: '1', License: 'MIT' }]);
  const path = join(treeOf(dir), directory, 'rpmdb.sqlite');
  const db = new DatabaseSync(path);
  // The database is open while it is scanned, so that nothing is moved from the log into the file.
  db.exec(
    'PRAGMA wal_autocheckpoint=0; UPDATE Packages SET blob = CAST(replace(CAST(blob AS ' +
      "BLOB), 'first', 'newer') AS BLOB)",
  );
  const files = [path, `${path}-wal`].map((file) => readFileSync(file));
  db.close();
  put(dir, `${directory}/rpmdb.sqlite`, files[0]!);
  put(dir, `${directory}/rpmdb.sqlite-wal`, files[1]!);
  assert.equal(urls(scan(dir)), ['pkg:rpm/rpm/newer@1-1?arch=noarch']);
});

test('damaged, strange and unsupported rpm databases are reported as not read', ({ dir }) => {
  put(dir, 'var/lib/rpm/Packages', 'Berkeley');
  const sqlite = put(dir, 'usr/lib/sysimage/rpm/rpmdb.sqlite', '');
  rmSync(sqlite);
  const db = new DatabaseSync(sqlite);
  db.exec(
    'CREATE VIEW Packages AS WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM ' +
      'n) SELECT zeroblob(9) AS blob FROM n',
  );
  db.close();
  put(dir, 'usr/share/rpm/rpmdb.sqlite', 'no database');
  const found = scan(dir);
  assert.equal(found.unread, ['var/lib/rpm', 'usr/lib/sysimage/rpm', 'usr/share/rpm']);
  assert.equal(found.packages, []);
});

const headerOf = (entries: readonly (readonly [number, number, number])[], data: string) => {
  const words = [
    entries.length,
    data.length,
    ...entries.flatMap(([tag, type, offset]) => [tag, type, offset, 1]),
  ];
  const bytes = Buffer.alloc(words.length * 4);
  for (const [index, word] of words.entries()) bytes.writeUInt32BE(word, index * 4);
  return Buffer.concat([bytes, Buffer.from(data)]);
};
const strings = (name: string): Buffer =>
  headerOf(
    [
      [1000, 6, 0],
      [1001, 6, name.length + 1],
      [1002, 6, name.length + 3],
    ],
    `${name}\0${'1\0'}${'2\0'}`,
  );

test('malformed headers in an rpm database are left out', ({ dir }) => {
  const path = put(dir, 'var/lib/rpm/rpmdb.sqlite', '');
  rmSync(path);
  const db = new DatabaseSync(path);
  db.exec('CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)');
  const sound = strings('sound');
  const blobs = [
    sound,
    strings('ev"il'),
    strings('gpg-pubkey'),
    sound.subarray(0, -1),
    sound.subarray(0, 5),
    headerOf([[1000, 6, 0]], 'nameonly\0'),
    headerOf(
      [
        [1000, 6, 4_000_000_000],
        [1001, 6, 0],
        [1002, 6, 0],
      ],
      '1\0',
    ),
    Buffer.from('ffffffffffffffff', 'hex'),
    Buffer.alloc(0),
  ];
  for (const blob of blobs) db.prepare('INSERT INTO Packages (blob) VALUES (?)').run(blob);
  db.exec("INSERT INTO Packages (blob) VALUES ('text')");
  db.close();
  const found = scan(dir);
  assert.equal([urls(found), found.unread], [['pkg:rpm/rpm/sound@1-2'], []]);
});

/** SUSE's form: one page of slots, followed by the blobs. */
function ndb(blobs: readonly Buffer[]): Buffer {
  const words = (...values: readonly number[]) => {
    const bytes = Buffer.alloc(values.length * 4);
    for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4);
    return bytes;
  };
  const magic = (text: string) => Buffer.from(text).readUInt32LE(0);
  const slots: Buffer[] = [];
  const parts: Buffer[] = [];
  let block = 256;
  for (const [index, blob] of blobs.entries()) {
    const whole = Buffer.concat([
      words(magic('BlbS'), index + 1, 0, blob.length),
      blob,
      Buffer.alloc(12),
    ]);
    const blocks = Math.ceil(whole.length / 16);
    // A free slot stands between any two.
    slots.push(words(magic('Slot'), 0, 0, 0), words(magic('Slot'), index + 1, block, blocks));
    parts.push(Buffer.concat([whole], blocks * 16));
    block += blocks;
  }
  while (slots.length < 254) slots.push(words(magic('Slot'), 0, 0, 0));
  return Buffer.concat([words(magic('RpmP'), 0, 1, 1, 3, 0, 0, 0), ...slots, ...parts]);
}

test("the packages in SUSE's form of the database are found; in a damaged one none are", ({
  dir,
}) => {
  const path = 'usr/lib/sysimage/rpm/Packages.db';
  const sound = ndb([strings('one'), strings('two')]);
  put(dir, 'etc/os-release', 'ID="opensuse-leap"\nVERSION_ID="15.6"\n');
  put(dir, path, sound);
  const found = scan(dir);
  const expected = ['one', 'two'].map(
    (name) => `pkg:rpm/opensuse/${name}@1-2?distro=opensuse-leap-15.6`,
  );
  assert.equal([urls(found), found.unread], [expected, []]);
  const damages: readonly (readonly [at: number, value: number])[] = [
    [0, 1],
    [4, 1],
    [12, 5000],
    [12, 2],
    [64, 0],
    [56, 0xffffffff],
    [52, 7],
    [4096, 0],
    [4108, 0xffffffff],
  ];
  for (const [at, value] of damages) {
    const damaged = Buffer.from(sound);
    damaged.writeUInt32LE(value, at);
    put(dir, path, damaged);
    const scanned = scan(dir);
    assert.equal([scanned.packages, scanned.unread], [[], ['usr/lib/sysimage/rpm']], `${at}`);
  }
});

/** A Go program that is always here: the compiler of these sources. */
const PROGRAM = join(
  import.meta.dirname,
  `../../node_modules/@typescript/typescript-linux-${process.arch}/lib/tsc`,
);

test('a Go program lists its module, its dependencies and the standard library', ({ dir }) => {
  if (!existsSync(PROGRAM))
    return console.log('SKIP a Go program: the TypeScript compiler is not there');
  copyFileSync(PROGRAM, put(dir, 'usr/bin/tool', ''));
  chmodSync(join(treeOf(dir), 'usr/bin/tool'), 0o755);
  const found = scan(dir);
  const lines = urls(found).join('\n');
  assert.match(
    lines,
    /^pkg:golang\/github\.com\/microsoft\/typescript-go@v0\.0\.0-\d{14}-[0-9a-f]{12}(%2Bdirty)?$/m,
  );
  assert.match(lines, /^pkg:golang\/golang\.org\/x\/sys@v0\.\d+\.\d+$/m);
  assert.match(lines, /^pkg:golang\/stdlib@1\.\d+\.\d+$/m);
  assert.equal([...new Set(found.packages.map(({ foundIn }) => foundIn))], ['usr/bin/tool']);
});

test('a Go program built without modules is listed by the path of its package', ({ dir }) => {
  put(
    dir,
    'bin/tool',
    elf(
      buildInfo(
        'go1.19.8',
        'path\tgithub.com/docker/distribution/cmd/registry\nbuild\t-trimpath=true\n',
      ),
    ),
    0o755,
  );
  const [program] = scan(dir).packages;
  assert.is(program?.purl, 'pkg:golang/github.com/docker/distribution/cmd/registry');
  assert.is(program?.version, undefined);
});

/** The smallest ELF file that has the section. */
function elf(section: Buffer, big = false): Buffer {
  const names = Buffer.from('\0.go.buildinfo\0.shstrtab\0');
  const file = Buffer.alloc(70_000);
  const u16 = (at: number, value: number) =>
    big ? file.writeUInt16BE(value, at) : file.writeUInt16LE(value, at);
  const u32 = (at: number, value: number) =>
    big ? file.writeUInt32BE(value, at) : file.writeUInt32LE(value, at);
  const u64 = (at: number, value: number) =>
    big ? file.writeBigUInt64BE(BigInt(value), at) : file.writeBigUInt64LE(BigInt(value), at);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, big ? 2 : 1]);
  u64(40, 64);
  for (const [index, value] of [64, 3, 2].entries()) u16(58 + index * 2, value);
  for (const [index, name, at, size] of [
    [1, 1, 1024, section.length],
    [2, 15, 512, names.length],
  ] as const) {
    u32(64 + index * 64, name);
    u64(64 + index * 64 + 24, at);
    u64(64 + index * 64 + 32, size);
  }
  file.set(names, 512);
  file.set(section, 1024);
  return file;
}

function buildInfo(version: string, text: string, flags = 2): Buffer {
  const header = Buffer.concat(
    [Buffer.from('\xff Go buildinf:', 'latin1'), Buffer.from([8, flags])],
    32,
  );
  const framed = (bytes: Buffer) =>
    Buffer.concat([Buffer.from([(bytes.length & 0x7f) | 0x80, bytes.length >> 7]), bytes]);
  const mark = Buffer.alloc(16, '#');
  return Buffer.concat([
    header,
    framed(Buffer.from(version)),
    framed(Buffer.concat([mark, Buffer.from(text), mark])),
  ]);
}

const MODULES = [
  'path\texample.com/Tool/cmd',
  'mod\texample.com/Tool\tv1.0.0\th1:x',
  'dep\texample.com/old\tv1.0.0',
  '=>\texample.com/new\tv2.0.0+incompatible\th1:y',
  'dep\texample.com/here\tv3.0.0',
  '=>\t../here\t',
  'dep\tev"il\tv1',
  'build\t-compiler=gc',
].join('\n');

test('for a replaced module the replacement is listed', ({ dir }) => {
  const expected = [
    'pkg:golang/example.com/here@v3.0.0',
    'pkg:golang/example.com/new@v2.0.0%2Bincompatible',
    'pkg:golang/example.com/tool@v1.0.0',
    'pkg:golang/stdlib@1.22.1',
  ];
  for (const big of [false, true]) {
    put(dir, 'bin/tool', elf(buildInfo('go1.22.1 X:boringcrypto', `${MODULES}\n`), big), 0o755);
    assert.equal(urls(scan(dir)), expected);
  }
});

test('only executable files are read; an old program is reported as not read', ({ dir }) => {
  put(dir, 'bin/data', elf(buildInfo('go1.22.1', MODULES)));
  put(dir, 'bin/old', elf(buildInfo('', '', 0)), 0o755);
  const found = scan(dir);
  assert.equal([found.packages, found.unread], [[], ['bin/old']]);
});

test('programs with wrong headers are not Go programs', ({ dir }) => {
  const sound = elf(buildInfo('go1.22.1', MODULES));
  const twisted = (change: (bytes: Buffer) => unknown): Buffer => {
    const bytes = Buffer.from(sound);
    change(bytes);
    return bytes;
  };
  const lies = [
    twisted((bytes) => bytes.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 40)),
    twisted((bytes) => bytes.writeUInt16LE(0xffff, 60)),
    twisted((bytes) => bytes.writeUInt16LE(1, 58)),
    twisted((bytes) => bytes.writeUInt16LE(9, 62)),
    twisted((bytes) => bytes.writeBigUInt64LE(1n << 60n, 128 + 24)),
    twisted((bytes) => bytes.fill(0xff, 1024 + 32, 1024 + 42)),
    twisted((bytes) => (bytes[4] = 7)),
    Buffer.alloc(70_000),
  ];
  for (const [index, bytes] of lies.entries()) put(dir, `bin/${index}`, bytes, 0o755);
  const found = scan(dir);
  assert.equal([found.packages, found.unread], [[], []]);
});

test.run();
