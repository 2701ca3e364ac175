import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, Rig, type RunOptions, run, steps, testImage } from './rig.ts';

const EPOCH = { SOURCE_DATE_EPOCH: '1700000000' };

/** A Dockerfile whose layers have changes, removals, links, owners, and files that are restored. */
const DOCKERFILE = `
# syntax=docker/dockerfile:1
FROM busybox AS tools
RUN mkdir /t && echo tool > /t/tool && ln /t/tool /t/again && chmod 4755 /t/tool && mkfifo /t/fifo
FROM busybox
RUN --mount=type=cache,target=/cache echo \${RANDOM}x > /cache/f && echo run > /made && \
chown 12:34 /made && touch -d @1600000000 /made
RUN rm /bin/vi && rm -rf /home && mkdir /home && echo new > /home/file && mkdir /deep && \
mkdir -p /deep/a/b/c && echo x > /deep/a/b/c/f
RUN echo more >> /made && mv /deep/a /deep/z && chmod 700 /deep/z && ln -s made /link && \
touch /passing && rm /passing
COPY --link --chown=7:8 a.txt /linked/
COPY --from=tools /t /t
ADD a.tar /unpacked/
COPY . /context
WORKDIR /work
RUN --mount=type=bind,from=tools,target=/tools,source=/t cp -a /tools/tool /work && \
rm -rf /context && mkdir /context
RUN true
`;

function context(rig: Rig): void {
  rig.write('c', { Dockerfile: DOCKERFILE, 'a.txt': 'a', 'd/e/f': 'f' });
  execFileSync(
    'sh',
    [
      '-c',
      'mkdir t && touch -d @1500000000 t/x && chown 5:6 t/x && tar -cf c/a.tar -C t x && rm -r t',
    ],
    {
      cwd: rig.directory,
    },
  );
}

test('a store on a file system without attributes works', async () => {
  await using rig = await Rig.create();
  context(rig);
  mkdirSync(rig.path('ram'));
  execFileSync('mount', ['-t', 'ramfs', 'none', rig.path('ram')]);
  try {
    const env = { ...EPOCH, KILN_ROOT: rig.path('ram/store') };
    await rig.kiln(['load', '-q', '-i', testImage('busybox')], { env, expect: 0 });
    await rig.kiln(['build', '-o', 'type=oci,dest=ram.tar', 'c'], { env, expect: 0 });
    assert.match(readFileSync(rig.path('ram/store/snapshotter'), 'utf8'), /^copy socket /);
  } finally {
    execFileSync('umount', [rig.path('ram')]);
  }
  await rig.kiln(['load', '-q', '-i', testImage('busybox')], { expect: 0 });
  await rig.kiln(['build', '-o', 'type=oci,dest=disk.tar', 'c'], { env: EPOCH, expect: 0 });
  assert.ok(readFileSync(rig.path('ram.tar')).equals(readFileSync(rig.path('disk.tar'))));
});

/** A rig whose store is on overlay, on which overlay itself cannot be mounted. */
async function onOverlay(use: (rig: Rig, store: string) => Promise<void>): Promise<void> {
  await using rig = await Rig.create();
  for (const name of ['lower', 'upper', 'work', 'tree']) mkdirSync(rig.path(name));
  const options =
    `lowerdir=${rig.path('lower')},upperdir=${rig.path('upper')},` + `workdir=${rig.path('work')}`;
  execFileSync('mount', ['-t', 'overlay', '-o', options, 'none', rig.path('tree')]);
  try {
    await use(rig, rig.path('tree/store'));
  } finally {
    execFileSync('umount', [rig.path('tree')]);
  }
}

test('a store on overlay gives the same image, whatever a layer contains', async () => {
  await onOverlay(async (rig, store) => {
    context(rig);
    const on = (root: string): RunOptions => ({ env: { ...EPOCH, KILN_ROOT: root }, expect: 0 });
    for (const [name, root] of [
      ['copied', store],
      ['mounted', rig.store],
    ] as const) {
      await rig.kiln(['load', '-q', '-i', testImage('busybox')], on(root));
      await rig.kiln(['build', '-t', 'x', '-o', `type=oci,dest=${name}.tar`, 'c'], on(root));
      await rig.kiln(
        ['build', '-t', 'x', '--squash', '-o', `type=oci,dest=${name}-squashed.tar`, 'c'],
        on(root),
      );
    }
    assert.match(
      readFileSync(join(store, 'snapshotter'), 'utf8'),
      /^copy socket .* on overlayfs\n$/,
    );
    assert.is(readFileSync(join(rig.store, 'snapshotter'), 'utf8'), 'overlay\n');
    for (const kind of ['', '-squashed'])
      assert.ok(
        readFileSync(rig.path(`copied${kind}.tar`)).equals(
          readFileSync(rig.path(`mounted${kind}.tar`)),
        ),
        kind,
      );
    const doctor = await rig.kiln(['doctor'], { env: { KILN_ROOT: store } });
    assert.match(doctor.stdout, /^optional +snapshotter +copy: .*on overlayfs/m);
  });
});

test('with a store on overlay run, fsck, prune and --output-on-error work', async () => {
  await onOverlay(async (rig, store) => {
    context(rig);
    const kiln = (args: readonly string[], options: RunOptions = {}) =>
      rig.kiln(args, { expect: 0, ...options, env: { ...EPOCH, KILN_ROOT: store } });
    await kiln(['load', '-q', '-i', testImage('busybox')]);
    await kiln(['build', '-t', 'x', 'c']);
    const again = await kiln(['build', '--progress=plain', '-t', 'x', 'c']);
    assert.equal([...new Set(steps(again.stderr).values())], ['CACHED'], again.stderr);
    const ran = await kiln([
      'run',
      'x',
      'sh',
      '-c',
      'cat /made /home/file /deep/z/b/c/f; ls /context; echo y > /made; stat -c %u:%g /made',
    ]);
    assert.is(ran.stdout, 'run\nmore\nnew\nx\n12:34\n');
    assert.is(
      (await kiln(['run', 'x', 'cat', '/made'])).stdout,
      'run\nmore\n',
      'a layer is not what a process writes to',
    );
    rig.write('f', { Dockerfile: 'FROM x\nRUN echo kept > /kept && false\n' });
    const failed = await kiln(['build', '--output-on-error', 'kept,/kept', 'f'], { expect: 1 });
    assert.match(failed.stderr, 'KILN_STEP_FAILED');
    assert.is(readFileSync(rig.path('kept/kept'), 'utf8'), 'kept\n');
    const fsck = await kiln(['fsck']);
    assert.not.match(fsck.stdout, /damaged|missing/i);
    await kiln(['prune', '-f']);
    assert.is((await kiln(['run', 'x', 'cat', '/t/again'])).stdout, 'tool\n');
    await kiln(['rmi', 'x']);
    await kiln(['prune', '-f', '--all']);
    assert.equal(
      readdirSync(join(store, 'tmp')).filter((name) => name !== 'locks'),
      [],
    );
  });
});

test('build and doctor refuse a store on a file system that cannot hold it', async () => {
  if (!/\tvfat$/m.test(readFileSync('/proc/filesystems', 'utf8')))
    return console.log('SKIP vfat: this kernel has no vfat');
  await using rig = await Rig.create();
  context(rig);
  try {
    execFileSync(
      'sh',
      ['-c', 'truncate -s 64M fat && mkfs.vfat fat && mkdir m && mount -o loop fat m'],
      {
        cwd: rig.directory,
        stdio: 'pipe',
      },
    );
  } catch {
    return console.log('SKIP vfat: this host has no block device to mount');
  }
  try {
    const env = { KILN_ROOT: rig.path('m/store') };
    const load = await rig.kiln(['load', '-q', '-i', testImage('busybox')], { env });
    const build = await rig.kiln(['build', 'c'], { env });
    assert.is(build.code, 1, build.stderr);
    assert.match(load.stderr + build.stderr, /vfat.*KILN_STORE_FILE_SYSTEM/);
    const doctor = await rig.kiln(['doctor'], { env });
    assert.is(doctor.code, 1);
    assert.match(doctor.stdout, /^MISSING +snapshotter +.*vfat/m);
  } finally {
    execFileSync('umount', [rig.path('m')]);
  }
});

/** Runs Kiln as root without CAP_SYS_ADMIN, as in a container of `docker run`. */
function confined(rig: Rig, ...args: string[]) {
  return run(['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin', KILN, ...args], {
    cwd: rig.directory,
    env: { ...EPOCH, KILN_ROOT: rig.store },
  });
}

test('without CAP_SYS_ADMIN builds work, and a RUN is refused before it begins', async () => {
  await using rig = await Rig.create();
  context(rig);
  const text =
    'FROM busybox AS from\n' +
    'COPY a.txt /x\n' +
    'FROM busybox\n' +
    'ENV a=b\n' +
    'ADD a.tar /unpacked/\n' +
    'COPY --from=from /x /y\n' +
    'COPY --link d /d\n' +
    'WORKDIR /w\n';
  rig.write('c', { Dockerfile: text });
  const load = await confined(rig, 'load', '-q', '-i', testImage('busybox'));
  assert.is(load.code, 0, load.stderr);
  const build = await confined(rig, 'build', '-o', 'type=oci,dest=confined.tar', 'c');
  assert.is(build.code, 0, build.stderr);
  rig.write('c', { Dockerfile: `${text}RUN true\n` });
  for (const args of [
    ['build', 'c'],
    ['run', 'busybox', 'true'],
  ]) {
    const refused = await confined(rig, ...args);
    assert.is(refused.code, 1, refused.stderr);
    assert.match(refused.stderr, /^ERROR: .*CAP_SYS_ADMIN.*\[KILN_NO_PRIVILEGE\]/m);
    assert.match(refused.stderr, '--privileged');
    assert.not.match(refused.stderr, /^ {4}at |CancelledError|asyncDispose/m);
  }
  rmSync(rig.store, { recursive: true });
  rig.write('c', { Dockerfile: text });
  await rig.kiln(['load', '-q', '-i', testImage('busybox')], { expect: 0 });
  await rig.kiln(['build', '-o', 'type=oci,dest=free.tar', 'c'], { env: EPOCH, expect: 0 });
  assert.ok(readFileSync(rig.path('confined.tar')).equals(readFileSync(rig.path('free.tar'))));
  // A store that was made with overlay serves the same builds without CAP_SYS_ADMIN.
  const shared = await confined(rig, 'build', '--no-cache', '-o', 'type=oci,dest=shared.tar', 'c');
  assert.is(shared.code, 0, shared.stderr);
  assert.ok(readFileSync(rig.path('shared.tar')).equals(readFileSync(rig.path('free.tar'))));
  assert.ok(existsSync(rig.store));
});

if (process.getuid?.() === 0) test.run();
else console.log('SKIP copying: needs root');
