import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { archive, type Member } from '../snapshotter/layer/archive.fixture.ts';
import { cat, Rig } from './rig.ts';
import { asUser, prepared } from './user.ts';

/** Malicious archives, given to the real binary. Unit tests of the folders test them, too. */

const MIB = 1 << 20;

/** An archive with a file of 1.25 GiB of zeros, compressed by `command` in several members. */
function bomb(command: 'bzip2' | 'xz' | 'zstd'): Buffer {
  const size = 40 * 32 * MIB;
  const header = Buffer.from(archive({ path: 'big' }).subarray(0, 512));
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.fill(' ', 148, 156);
  header.write(
    `${[...header]
      .reduce((sum, byte) => sum + byte)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  const pack = (input: Buffer) =>
    execFileSync(command, ['-c', '-1'], { input, maxBuffer: 16 * MIB });
  const zeros = pack(Buffer.alloc(32 * MIB));
  return Buffer.concat([
    pack(header),
    ...Array.from({ length: 40 }, () => zeros),
    pack(Buffer.alloc(1024)),
  ]);
}

test('a decompression bomb is refused everywhere, and leaves nothing in the store', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM scratch\nADD bomb /\n', bomb: bomb('zstd') });
  const added = await rig.kiln(['build', '--progress=plain', 'c'], { expect: 1 });
  assert.match(
    added.stderr,
    /ERROR: .*the archive bomb unpacks to more than 1100 times its size \[KILN_LAYER_LIMIT\]/,
  );
  assert.match(added.stderr, 'ADD bomb /');
  const context = await rig.kiln(['build', '--progress=plain', '-'], {
    stdin: bomb('xz'),
    expect: 1,
  });
  assert.match(
    context.stderr,
    /ERROR: .*the archive on standard input unpacks to more than .*\[KILN_LAYER_LIMIT\]/,
  );
  const used = Number(
    execFileSync('du', ['-sm', rig.path('store')], { encoding: 'utf8' }).split('\t')[0],
  );
  assert.ok(used < 100, `${used} MiB`);
});

test('a damaged archive on standard input is reported as damaged', async () => {
  await using rig = await Rig.create();
  const tar = archive({ path: 'Dockerfile', content: 'FROM scratch\n' }, { path: 'n'.repeat(256) });
  const result = await rig.kiln(['build', '-'], { stdin: tar, expect: 1 });
  assert.match(
    result.stderr,
    /the archive on standard input is malformed: "n+" cannot be made.*\[KILN_ARCHIVE_DAMAGED\]/,
  );
});

test('a file name that no layer can have is refused, with its path and instruction', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { 'e/.wh.passwd': '', 'e/f': 'f\n', Dockerfile: 'FROM busybox\nCOPY e/f /f\n' });
  rig.write('c', { 'a.tar': archive({ path: 'x/.wh..wh..opq' }) });
  await rig.build('c', '-t', 'whole');
  assert.is(await cat(rig, 'whole', '/f'), 'f\n');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN --mount=target=/c,rw ls -A /c/e > /names\n' });
  await rig.build('c', '-t', 'mounted');
  assert.is(await cat(rig, 'mounted', '/names'), '.wh.passwd\nf\n');
  const cases = {
    'COPY e/ /etc/': '/etc/.wh.passwd',
    'COPY --link e/ /etc/': '/etc/.wh.passwd',
    'COPY e/f /etc/.wh.passwd': '/etc/.wh.passwd',
    'ADD a.tar /in/': '/in/x/.wh..wh..opq',
    'WORKDIR /a/.wh./b': '/a/.wh.',
    'RUN mkdir -p /new/dir && touch /new/dir/.wh.x': '/new/dir/.wh.x',
    'RUN ln -s x /etc/.wh.': '/etc/.wh.',
  };
  for (const [line, path] of Object.entries(cases)) {
    for (const flags of line.startsWith('COPY e/ ') ? [[], ['--squash']] : [[]]) {
      rig.write('c', { Dockerfile: `FROM busybox\n${line}\n` });
      const { stderr } = await rig.kiln(['build', '--progress=plain', ...flags, 'c'], {
        expect: 1,
      });
      assert.match(stderr, `"${path}" cannot be in an image`, line);
      assert.match(stderr, '[KILN_LAYER_NAME]', line);
      assert.match(stderr, new RegExp(`Dockerfile:2[^]*${line.slice(0, 8)}`), line);
    }
  }
});

test('layers on FROM scratch are checked too, where no overlay refuses devices', async () => {
  await using rig = await Rig.create('busybox');
  const run = 'RUN --mount=from=busybox,target=/bb ["/bb/bin/busybox", "sh", "-c"';
  rig.write('c', { Dockerfile: `FROM scratch\n${run}, "/bb/bin/busybox mknod /gone c 0 0"]\n` });
  const { stderr } = await rig.kiln(['build', '--progress=plain', 'c'], { expect: 1 });
  assert.match(stderr, /"\/gone" is a character device with the number 0:0.*\[KILN_LAYER_NAME\]/);
});

test('an owner outside the subordinate IDs of the user is reported as such', async () => {
  await using rig = await prepared('FROM scratch\nADD far.tar /\n');
  mkdirSync(rig.path('c'), { recursive: true });
  const far: Member = { path: 'far', content: 'x', uid: 4_000_000_000 };
  rig.write('c', { 'far.tar': archive(far) });
  const { code, stderr } = await asUser(rig, 'with ids', 'build', '--progress=plain', 'c');
  assert.is(code, 1);
  assert.match(stderr, /"far" belongs to 4000000000:0, .*\[KILN_ARCHIVE_DAMAGED\]/);
  assert.match(stderr, /subuid/);
});

test.run();
