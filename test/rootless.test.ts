import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from './rig.ts';
import { hostPrograms, SshSetting, whyNoSsh } from './sshd.ts';
import { asUser, commandAsUser, done, prepared, UID } from './user.ts';

const DOCKERFILE = `FROM busybox
RUN id -u > /id && touch /owned && chown 1234:99 /owned
COPY --chown=7:8 a.txt /copied
RUN rm /bin/vi && rm -rf /home && mkdir /home && echo y > /home/file
ADD a.tar /unpacked/
`;

test('an ordinary user builds the same image, bit for bit, as root, and runs it', async () => {
  await using rig = await prepared(DOCKERFILE);
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  await done(
    asUser(rig, 'with ids', 'build', '-t', 'x', '--output', 'type=oci,dest=user.tar', 'c'),
  );
  await rig.kiln(['load', '-q', '-i', 'busybox.tar']);
  const root = await rig.kiln(['build', '-t', 'x', '--output', 'type=oci,dest=root.tar', 'c'], {
    env: { SOURCE_DATE_EPOCH: '1700000000' },
  });
  assert.is(root.code, 0, root.stderr);
  assert.ok(readFileSync(rig.path('user.tar')).equals(readFileSync(rig.path('root.tar'))));
  await done(asUser(rig, 'with ids', 'build', '-t', 'x', 'c'));
  const ran = await done(
    asUser(rig, 'with ids', 'run', 'x', 'ls', '-ln', '/owned', '/copied', '/unpacked/x'),
  );
  assert.match(ran.stdout, /1234 +99 .*\/owned/);
  assert.match(ran.stdout, /7 +8 .*\/copied/);
  assert.match(ran.stdout, /5 +6 .*\/unpacked\/x/);
  assert.ok(existsSync(rig.path('home/.local/share/kiln/kiln.db')));
});

test('the commands of docs/uninstalling.md remove the store of an ordinary user', async () => {
  await using rig = await prepared(DOCKERFILE);
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  await done(asUser(rig, 'with ids', 'build', '-t', 'x', 'c'));
  const page = readFileSync(join(ROOT, 'docs/uninstalling.md'), 'utf8');
  const [, commands = ''] = /^```sh\n(unshare .*?)^```$/ms.exec(page) ?? [];
  assert.match(commands, /^unshare .*\nrm .*\n$/);
  assert.ok(existsSync(rig.path('home/.local/share/kiln/kiln.db')));
  // The collection that a build starts may still run, and the page says so.
  const removed = async () =>
    (await commandAsUser(rig, 'with ids', 'sh', '-ec', commands)).code === 0;
  for (let tries = 1; !(await removed()); tries++) {
    assert.ok(tries < 30, 'the store cannot be removed');
    await setTimeout(1000);
  }
  assert.equal(readdirSync(rig.path('home/.local/share')), []);
});

test('the files that a build writes belong to the user', async () => {
  await using rig = await prepared(DOCKERFILE);
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  await done(asUser(rig, 'with ids', 'build', '--output', 'out', 'c'));
  const owners = execFileSync('find', [rig.path('out'), '!', '-uid', String(UID)], {
    encoding: 'utf8',
  });
  assert.is(owners, '');
  assert.is(readFileSync(rig.path('out/id'), 'utf8'), '0\n');
});

test('a cache that a user exports belongs to the user, and root can import it', async () => {
  await using rig = await prepared(DOCKERFILE);
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  await done(asUser(rig, 'with ids', 'build', '--cache-to', 'type=local,dest=cache,mode=max', 'c'));
  assert.is(
    execFileSync('find', [rig.path('cache'), '!', '-uid', String(UID)], { encoding: 'utf8' }),
    '',
  );
  await rig.kiln(['load', '-q', '-i', 'busybox.tar']);
  const imported = await rig.kiln(
    ['build', '--progress=plain', '--cache-from', 'type=local,src=cache', '-t', 'x', 'c'],
    {
      env: { SOURCE_DATE_EPOCH: '1700000000' },
    },
  );
  assert.is(imported.code, 0, imported.stderr);
  assert.is(imported.stderr.match(/^#\d+ CACHED$/gm)?.length, 5, imported.stderr);
  const ran = await rig.kiln(['run', 'x', 'ls', '-ln', '/owned']);
  assert.match(ran.stdout, /1234 +99 .*\/owned/);
});

test('without subordinate ids a warning says that root owns all files', async () => {
  await using rig = await prepared(DOCKERFILE);
  await done(asUser(rig, 'without ids', 'load', '-q', '-i', 'busybox.tar'));
  rig.write('c', {
    Dockerfile:
      'FROM busybox\n' +
      'COPY --chown=7:8 a.txt /copied\n' +
      'RUN --mount=type=secret,id=s,uid=5,env=S,target=/s id -u > /id && cat /s\n',
  });
  const built = await done(
    asUser(rig, 'without ids', 'build', '-t', 'x', '--secret', 'id=s,src=c/a.txt', 'c'),
  );
  assert.match(built.stderr, 'all files in the image will belong to root');
  assert.match(built.stderr, '--add-subuids');
  const ran = await done(asUser(rig, 'without ids', 'run', 'x', 'ls', '-ln', '/copied'));
  assert.match(ran.stdout, /0 +0 .*\/copied/);
  assert.ok(existsSync(rig.path('home/.local/share/kiln-own-ids/kiln.db')));
});

test("a user's step has its own network with slirp4netns, and a warning without", async () => {
  await using rig = await prepared(DOCKERFILE);
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN ls /sys/class/net && ip addr\n' });
  if (!existsSync('/usr/bin/slirp4netns') || !existsSync('/dev/net/tun'))
    return console.log('SKIP slirp: needs slirp4netns and /dev/net/tun');
  execFileSync('mknod', ['-m', '666', rig.path('tun'), 'c', '10', '200']);
  const own = await done(asUser(rig, 'with ids', 'build', '--progress=plain', '--no-cache', 'c'));
  assert.match(own.stderr, / lo\n.* tap0\n/);
  assert.match(own.stderr, /inet 10\.0\.2\.100\/24/);
  assert.not.match(own.stderr, /share the host's network/);
  execFileSync('chmod', ['0', rig.path('tun')]);
  const shared = await done(
    asUser(rig, 'with ids', 'build', '--progress=plain', '--no-cache', 'c'),
  );
  const warning = /^WARNING: steps share the host's network, .*slirp4netns does not start/m;
  assert.match(shared.stderr, warning);
  assert.ok(
    shared.stderr.search(warning) < shared.stderr.search(/^#\d+ [\d.]+ lo$/m),
    'before the step that runs so',
  );
  const quiet = await done(asUser(rig, 'with ids', 'build', '--quiet', '--no-cache', 'c'));
  assert.match(quiet.stderr, warning);
  const configured = async (value: string) => {
    rig.write('.', { 'kiln.toml': `[worker.oci]\nnetworkFallback = "${value}"\n` });
    process.env['KILN_CONFIG'] = rig.path('kiln.toml');
    try {
      return await asUser(rig, 'with ids', 'build', '--progress=plain', '--no-cache', 'c');
    } finally {
      delete process.env['KILN_CONFIG'];
    }
  };
  const alone = await done(configured('none'));
  assert.match(alone.stderr, /^WARNING: steps have no network: /m);
  assert.match(alone.stderr, /^#\d+ [\d.]+ lo\n#\d+ [\d.]+ 1: lo:/m);
  const refused = await configured('refuse');
  assert.is(refused.code, 1, refused.stderr);
  assert.match(refused.stderr, /^ERROR: .*KILN_NETWORK/m);
  assert.not.match(refused.stderr, /^#\d+ [\d.]+ lo$/m);
});

test('an ordinary user can run steps for another processor without changing the host', async () => {
  if (process.arch !== 'x64' || !existsSync('/usr/bin/qemu-aarch64-static'))
    return console.log(
      'SKIP emulation of an ordinary user: needs an amd64 host with qemu-user-static',
    );
  await using rig = await prepared(DOCKERFILE);
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  rig.write('c', {
    Dockerfile:
      'FROM busybox\nRUN uname -m > /m && touch /f && chown 7:8 /f && stat -c "%u %g" /f >> /m\n',
  });
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

const noSsh = whyNoSsh();
if (noSsh !== undefined) console.log(`SKIP secrets and agents of an ordinary user: ${noSsh}`);
else
  test('an ordinary user can give secrets, keys and an agent to steps with USER, too', async () => {
    const mounts =
      '--mount=type=secret,id=s --mount=type=ssh --mount=type=bind,from=tools,target=/host';
    const show =
      'cat /run/secrets/s; stat -c %u /run/secrets/s $SSH_AUTH_SOCK | tr "\\n" " "; ' +
      '/host/bin/ssh-add -L | cut -d" " -f3';
    await using rig = await prepared(
      'FROM busybox\n' +
        `RUN ${mounts} (${show}) > /root.txt\n` +
        'USER 1234\n' +
        `RUN ${mounts} (${show}) > /tmp/user.txt\n`,
    );
    await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
    await using ssh = await SshSetting.start(rig.path('ssh'));
    const key = ssh.key('mine', 'ed25519');
    hostPrograms(rig.path('tools'), '/usr/bin/ssh-add');
    rig.write('.', { s: 'hush ' });
    execFileSync('chown', [
      '-R',
      `${UID}:${UID}`,
      rig.path('ssh'),
      rig.path('tools'),
      rig.path('s'),
    ]);
    // An agent accepts only its own user and root. This one runs as the user.
    const agent = await ssh.agent('agent', key, { uid: UID });
    for (const lent of [key, agent]) {
      const flags = [
        '--no-cache',
        '--build-context',
        'tools=tools',
        '--secret',
        'id=s,src=s',
        '--ssh',
        `default=${lent}`,
      ];
      await done(asUser(rig, 'with ids', 'build', '-t', 'x', ...flags, 'c'));
      const ran = await done(
        asUser(rig, 'with ids', 'run', 'x', 'cat', '/root.txt', '/tmp/user.txt'),
      );
      assert.is(ran.stdout, 'hush 0 0 mine\nhush 1234 1234 mine\n');
    }
  });

test.run();
