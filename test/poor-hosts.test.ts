import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, type Ran, Rig, run, testImage } from './rig.ts';
import { prepared } from './user.ts';

/*
 * Hosts that lack something that most hosts have. Kiln works there, or says in one sentence what is
 * missing.
 */

const STEP = 'FROM busybox\nCOPY a.txt /a\nRUN cat /a > /b\n';

/** Runs Kiln as root in a mount namespace after `script` has changed it. */
function changed(rig: Rig, script: string, ...args: string[]): Promise<Ran> {
  return run(
    ['unshare', '--mount', 'sh', '-c', `set -e; ${script}; exec "$@"`, 'sh', KILN, ...args],
    {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    },
  );
}

async function withStep(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: STEP, 'a.txt': 'a' });
  return rig;
}

for (const [what, script] of [
  ['/proc mounted with hidepid', 'mount -t proc -o hidepid=2 proc /proc'],
  ['nothing mounted for control groups', 'umount -R /sys/fs/cgroup || true'],
  ['no /sys', 'mount -t tmpfs none /sys'],
  ['a /run that cannot be written', 'mount -t tmpfs -o ro none /run'],
  ['a /sys that cannot be written', 'mount -o remount,bind,ro /sys'],
  ['no passwd file', 'mount --bind /dev/null /etc/passwd; unset HOME'],
] as const) {
  test(`steps run with ${what}`, async () => {
    await using rig = await withStep();
    const built = await changed(rig, script, 'build', '--no-cache', '-o', 'out', 'c');
    assert.is(built.code, 0, built.stderr);
    assert.is(readFileSync(rig.path('out/b'), 'utf8'), 'a');
  });
}

test('a /run without space is the disk that is named, and the store is not', async () => {
  await using rig = await withStep();
  const full = (bytes: number) =>
    `mount -t tmpfs -o size=16k none /run; head -c ${bytes} /dev/zero >/run/x || true`;
  for (const bytes of [16_384, 4000]) {
    const built = await changed(rig, full(bytes), 'build', '--no-cache', 'c');
    assert.is(built.code, 1, built.stderr);
    assert.match(
      built.stderr,
      /^ERROR: no space left for \/run\/kiln.* \[KILN_DISK_FULL\]\nhint: free some space there/m,
    );
  }
});

test('without /proc one sentence says so', async () => {
  await using rig = await withStep();
  const built = await changed(rig, 'mount -t tmpfs none /proc', 'build', 'c');
  assert.is(built.code, 1, built.stderr);
  assert.match(built.stderr, /^ERROR: Kiln needs \/proc.*\nhint: run 'mount -t proc proc \/proc'/m);
});

test('a capability that a sandbox needs is named before the step, by doctor too', async () => {
  await using rig = await withStep();
  const without = (...args: string[]) =>
    run(['setpriv', '--bounding-set=-mknod', '--inh-caps=-mknod', KILN, ...args], {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    });
  const built = await without('build', '--no-cache', 'c');
  assert.is(built.code, 1, built.stderr);
  assert.match(
    built.stderr,
    /^ERROR: .*CAP_MKNOD.*\[KILN_NO_PRIVILEGE\]\nhint: .*--cap-add CAP_MKNOD/m,
  );
  assert.match((await without('doctor')).stdout, /^MISSING +privileges +root without CAP_MKNOD/m);
});

/** A user ID that is in no passwd file. */
const NOBODY = 54_321;

function asNobody(
  rig: Rig,
  env: Readonly<Record<string, string>>,
  ...command: string[]
): Promise<Ran> {
  const variables = Object.entries({ KILN_NODE: rig.path('bin/node'), ...env }).map(
    ([name, value]) => `${name}=${value}`,
  );
  const id = String(NOBODY);
  const args = [
    'setpriv',
    '--reuid',
    id,
    '--regid',
    id,
    '--clear-groups',
    'env',
    '-i',
    ...variables,
    ...command,
  ];
  return run(args, { cwd: rig.path('c') });
}

test('a user without a passwd entry can build, with or without HOME and PATH', async () => {
  await using rig = await prepared('FROM scratch\nCOPY a.txt /a\n');
  execFileSync('chown', ['-R', String(NOBODY), rig.directory]);
  const own = `/var/tmp/kiln-${NOBODY}`;
  rmSync(own, { recursive: true, force: true });
  try {
    for (const env of [
      { HOME: rig.path('home'), PATH: '/usr/bin:/bin' },
      { PATH: '/usr/bin:/bin' },
      { HOME: '/' },
      {},
    ]) {
      const built = await asNobody(
        rig,
        env,
        rig.path('bin/kiln'),
        'build',
        '--progress=plain',
        '-t',
        'x',
        '.',
      );
      assert.is(built.code, 0, built.stderr);
      assert.match(built.stderr, `the user id ${NOBODY} has no name`);
      assert.is(
        /home directory cannot be written/.test(built.stderr),
        !('HOME' in env) || env.HOME === '/',
        built.stderr,
      );
      assert.is((await asNobody(rig, env, rig.path('bin/kiln'), 'images')).code, 0);
      const doctor = await asNobody(rig, env, rig.path('bin/kiln'), 'doctor');
      assert.is(doctor.stderr, '');
      assert.match(doctor.stdout, /^ok +crun|^ok +runc/m);
    }
    assert.ok(existsSync(rig.path('home/.local/share/kiln-own-ids/kiln.db')));
    assert.ok(existsSync(`${own}/kiln-own-ids/kiln.db`));
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
});

test('a store directory that another user has made in /var/tmp is refused', async () => {
  await using rig = await prepared('FROM scratch\nCOPY a.txt /a\n');
  execFileSync('chown', ['-R', String(NOBODY), rig.directory]);
  const own = `/var/tmp/kiln-${NOBODY}`;
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { mode: 0o755 });
  try {
    const listed = await asNobody(rig, { HOME: '/' }, rig.path('bin/kiln'), 'images');
    assert.is(listed.code, 1, listed.stderr);
    assert.match(listed.stderr, /KILN_STORE_UNWRITABLE/);
    assert.match(listed.stderr, 'KILN_ROOT');
  } finally {
    rmdirSync(own);
  }
});

test('a build needs no working directory, standard descriptors or mild umask', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY a.txt /a\n', 'a.txt': 'a' });
  const env = { KILN_ROOT: rig.store, SOURCE_DATE_EPOCH: '1700000000' };
  const build = (name: string) =>
    `${KILN} build -o type=oci,dest=${rig.path(name)} ${rig.path('c')}`;
  const shell = (script: string) =>
    run(['sh', '-c', script], { cwd: rig.directory, env, expect: 0 });
  await shell(build('usual.tar'));
  await shell(`mkdir gone && cd gone && rmdir ../gone && ${build('gone.tar')}`);
  await shell(`${build('closed.tar')} <&- >&- 2>&-`);
  await shell(`umask 077; ${build('strict.tar')}`);
  for (const name of ['gone.tar', 'closed.tar', 'strict.tar'])
    assert.ok(readFileSync(rig.path(name)).equals(readFileSync(rig.path('usual.tar'))), name);
  const relative = await run(
    ['sh', '-c', `mkdir gone && cd gone && rmdir ../gone && ${KILN} build .`],
    {
      cwd: rig.directory,
      env,
    },
  );
  assert.is(relative.code, 1, relative.stderr);
  assert.match(relative.stderr, /current directory cannot be found/);
});

test('in a plain container root can do everything that needs no privilege', async () => {
  await using rig = await prepared('FROM scratch\n', 'debian');
  execFileSync(
    'sh',
    ['-c', `mkdir c/k && cp -r bin/. c/k/ && cp ${testImage('busybox')} c/k/b.tar`],
    { cwd: rig.directory },
  );
  rig.write('c', {
    Dockerfile: `FROM debian:12
COPY k /k
ENV KILN_NODE=/k/node
RUN mkdir /c && cd /c && printf 'FROM busybox\\nCOPY f /f\\n' > Dockerfile && echo x > f && \
/k/kiln load -q -i /k/b.tar && /k/kiln build -o /o . && \\
  cmp f /o/f && cat /var/lib/kiln/snapshotter && ! /k/kiln run busybox true && \
! /k/kiln doctor && /k/kiln fsck
USER 1000
RUN /k/kiln images; test $? = 1
`,
  });
  await rig.kiln(['load', '-q', '-i', testImage('debian')], { expect: 0 });
  const said = await rig.build('c', '--no-cache');
  assert.match(said, /copy socket this process may not mount anything/);
  assert.match(said, /ERROR: a sandbox needs mounts.*KILN_NO_PRIVILEGE/);
  assert.match(said, /MISSING +privileges +root, but .*CAP_SYS_ADMIN/);
  assert.match(said, /ERROR: as an ordinary user Kiln needs a user namespace.*KILN_NEEDS_ROOT/);
});

if (process.getuid?.() === 0) test.run();
else console.log('SKIP poor hosts: needs root');
