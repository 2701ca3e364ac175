import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Ran, Rig, ROOT, run, testImage } from './rig.ts';

/** Not in this host's passwd: what newuidmap reads is put over it, in a mount namespace of the test's own. */
const UID = 4321;

const DOCKERFILE = `FROM busybox
RUN id -u > /id && touch /owned && chown 1234:99 /owned
COPY --chown=7:8 a.txt /copied
RUN rm /bin/vi && rm -rf /home && mkdir /home && echo y > /home/file
ADD a.tar /unpacked/
`;

/** A copy of Kiln that anybody may read, a context, an image archive, and a home: all of the user. */
async function prepared(): Promise<Rig> {
  const rig = await Rig.create();
  for (const [from, to] of [
    ['kiln', 'bin/kiln'],
    ['dist', 'bin/dist'],
    ['node_modules/koffi', 'bin/node_modules/koffi'],
    ['node_modules/@koromix', 'bin/node_modules/@koromix'],
  ] as const)
    cpSync(join(ROOT, from), rig.path(to), { recursive: true, dereference: true });
  cpSync(process.execPath, rig.path('bin/node'));
  cpSync(testImage('busybox'), rig.path('busybox.tar'));
  rig.write('c', { Dockerfile: DOCKERFILE, 'a.txt': 'a' });
  execFileSync('sh', ['-c', 'mkdir t && touch t/x && chown 5:6 t/x && tar -cf c/a.tar -C t x && rm -r t && mkdir home'], {
    cwd: rig.directory,
  });
  writeFileSync(rig.path('subids'), `kiln:200000:65536\n`);
  writeFileSync(rig.path('passwd'), `${readFileSync('/etc/passwd', 'utf8')}kiln:x:${UID}:${UID}::${rig.path('home')}:/bin/sh\n`);
  execFileSync('chown', ['-R', `${UID}:${UID}`, rig.directory]);
  return rig;
}

/** Runs Kiln as the user, who has subordinate ids or not. */
function asUser(rig: Rig, ids: 'with ids' | 'without ids', ...args: string[]): Promise<Ran> {
  const subids = ids === 'with ids' ? rig.path('subids') : '/dev/null';
  // Most hosts let everybody open it.
  const tun = existsSync(rig.path('tun')) ? `mount --bind ${rig.path('tun')} /dev/net/tun &&` : '';
  const script = `${tun} mount --bind ${subids} /etc/subuid && mount --bind ${subids} /etc/subgid && mount --bind ${rig.path('passwd')} /etc/passwd &&
    exec setpriv --reuid=${UID} --regid=${UID} --clear-groups --inh-caps=-all "$@"`;
  return run(['unshare', '--mount', 'sh', '-c', script, 'sh', rig.path('bin/kiln'), ...args], {
    cwd: rig.directory,
    env: {
      KILN_ROOT: '',
      KILN_NODE: rig.path('bin/node'),
      HOME: rig.path('home'),
      XDG_DATA_HOME: '',
      XDG_RUNTIME_DIR: '',
      SOURCE_DATE_EPOCH: '1700000000',
    },
  });
}

async function done(ran: Promise<Ran>): Promise<Ran> {
  const ended = await ran;
  assert.is(ended.code, 0, ended.stderr);
  return ended;
}

test('an ordinary user builds the same image, bit for bit, as root, and runs it', async () => {
  await using rig = await prepared();
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  await done(asUser(rig, 'with ids', 'build', '-t', 'x', '--output', 'type=oci,dest=user.tar', 'c'));
  await rig.kiln(['load', '-q', '-i', 'busybox.tar']);
  const root = await rig.kiln(['build', '-t', 'x', '--output', 'type=oci,dest=root.tar', 'c'], {
    env: { SOURCE_DATE_EPOCH: '1700000000' },
  });
  assert.is(root.code, 0, root.stderr);
  assert.ok(readFileSync(rig.path('user.tar')).equals(readFileSync(rig.path('root.tar'))));
  await done(asUser(rig, 'with ids', 'build', '-t', 'x', 'c'));
  const ran = await done(asUser(rig, 'with ids', 'run', 'x', 'ls', '-ln', '/owned', '/copied', '/unpacked/x'));
  assert.match(ran.stdout, /1234 +99 .*\/owned/);
  assert.match(ran.stdout, /7 +8 .*\/copied/);
  assert.match(ran.stdout, /5 +6 .*\/unpacked\/x/);
  assert.ok(existsSync(rig.path('home/.local/share/kiln/kiln.db')));
});

test('what a build writes for the user belongs to the user', async () => {
  await using rig = await prepared();
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  await done(asUser(rig, 'with ids', 'build', '--output', 'out', 'c'));
  const owners = execFileSync('find', [rig.path('out'), '!', '-uid', String(UID)], { encoding: 'utf8' });
  assert.is(owners, '');
  assert.is(readFileSync(rig.path('out/id'), 'utf8'), '0\n');
});

test('a cache that the user exports is the user’s, and serves root on another machine', async () => {
  await using rig = await prepared();
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  await done(asUser(rig, 'with ids', 'build', '--cache-to', 'type=local,dest=cache,mode=max', 'c'));
  assert.is(execFileSync('find', [rig.path('cache'), '!', '-uid', String(UID)], { encoding: 'utf8' }), '');
  await rig.kiln(['load', '-q', '-i', 'busybox.tar']);
  const imported = await rig.kiln(['build', '--progress=plain', '--cache-from', 'type=local,src=cache', '-t', 'x', 'c'], {
    env: { SOURCE_DATE_EPOCH: '1700000000' },
  });
  assert.is(imported.code, 0, imported.stderr);
  assert.is(imported.stderr.match(/^#\d+ CACHED$/gm)?.length, 5, imported.stderr);
  const ran = await rig.kiln(['run', 'x', 'ls', '-ln', '/owned']);
  assert.match(ran.stdout, /1234 +99 .*\/owned/);
});

test('without subordinate ids a warning says that all files belong to root, and the store is another', async () => {
  await using rig = await prepared();
  await done(asUser(rig, 'without ids', 'load', '-q', '-i', 'busybox.tar'));
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY --chown=7:8 a.txt /copied\nRUN id -u > /id\n' });
  const built = await done(asUser(rig, 'without ids', 'build', '-t', 'x', 'c'));
  assert.match(built.stderr, 'all files in the image will belong to root');
  assert.match(built.stderr, '--add-subuids');
  const ran = await done(asUser(rig, 'without ids', 'run', 'x', 'ls', '-ln', '/copied'));
  assert.match(ran.stdout, /0 +0 .*\/copied/);
  assert.ok(existsSync(rig.path('home/.local/share/kiln-own-ids/kiln.db')));
});

test('a step of an ordinary user has a network of its own by slirp4netns; without it a warning', async () => {
  await using rig = await prepared();
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN ls /sys/class/net && ip addr\n' });
  if (!existsSync('/usr/bin/slirp4netns') || !existsSync('/dev/net/tun'))
    return console.log('SKIP slirp: needs slirp4netns and /dev/net/tun');
  execFileSync('mknod', ['-m', '666', rig.path('tun'), 'c', '10', '200']);
  const own = await done(asUser(rig, 'with ids', 'build', '--progress=plain', '--no-cache', 'c'));
  assert.match(own.stderr, / lo\n.* tap0\n/);
  assert.match(own.stderr, /inet 10\.0\.2\.100\/24/);
  assert.not.match(own.stderr, /share the network/);
  execFileSync('chmod', ['0', rig.path('tun')]);
  const shared = await done(asUser(rig, 'with ids', 'build', '--progress=plain', '--no-cache', 'c'));
  assert.match(shared.stderr, /steps share the network of this host, .*slirp4netns does not start/);
});

test('an ordinary user runs steps for another processor, and nothing of the host is changed', async () => {
  if (process.arch !== 'x64' || !existsSync('/usr/bin/qemu-aarch64-static'))
    return console.log('SKIP emulation of an ordinary user: needs an amd64 host with qemu-user-static');
  await using rig = await prepared();
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN uname -m > /m && touch /f && chown 7:8 /f && stat -c "%u %g" /f >> /m\n' });
  for (const ids of ['with ids', 'without ids'] as const) {
    if (ids === 'without ids') {
      await done(asUser(rig, ids, 'load', '-q', '-i', 'busybox.tar'));
      rig.write('c', { Dockerfile: 'FROM busybox\nRUN uname -m > /m && echo 7 8 >> /m\n' });
    }
    await done(asUser(rig, ids, 'build', '--platform=linux/arm64', '--output', 'out', 'c'));
    assert.is(readFileSync(rig.path('out/m'), 'utf8'), 'aarch64\n7 8\n');
  }
  assert.not.ok(existsSync('/proc/sys/fs/binfmt_misc/kiln-aarch64'));
});

test.run();
