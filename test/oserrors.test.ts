import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, type Ran, Rig, run } from './rig.ts';
import { asUser, prepared } from './user.ts';

/*
 * Every place where Kiln uses a path of the user, with every error that the system may return. The
 * error has a code, the path, the reason and a hint, and never a stack trace. The code is not
 * KILN_SYSTEM, which is only for system errors that Kiln does not expect.
 */

const LONG = 'x'.repeat(300);

/**
 * The command lines with a path. `c` is a context that builds, and `lay` is a Dockerfile whose base
 * is the named context n.
 */
const READ: Readonly<Record<string, (path: string) => readonly string[]>> = {
  Dockerfile: (path) => ['build', '-f', path, 'c'],
  context: (path) => ['build', path],
  'named context': (path) => ['build', '--build-context', `n=${path}`, 'c'],
  'OCI layout': (path) => ['build', '--build-context', `n=oci-layout://${path}`, '-f', 'lay', 'c'],
  secret: (path) => ['build', '--secret', `id=t,src=${path}`, 'c'],
  'ssh key': (path) => ['build', '--ssh', `default=${path}`, 'c'],
  'archive to load': (path) => ['load', '-i', path],
  'source of a copy': (path) => ['copy', `oci-archive:${path}`, 'oci:out'],
  'source of an index': (path) => ['imagetools', 'create', '--dry-run', '-f', path],
  'saved caches': (path) => ['cache', 'import', path],
};
const WRITE: typeof READ = {
  iidfile: (path) => ['build', '--iidfile', path, 'c'],
  'metadata file': (path) => ['build', '--metadata-file', path, 'c'],
  graph: (path) => ['debug', 'dump-llb', '-o', path, 'c'],
  'saved caches': (path) => ['cache', 'export', path],
  store: (path) => ['images', '--root', path],
};
const LEADS_TO_ITSELF = /leads to itself/;
const NOT_A_DIRECTORY = /not a directory/;
const TOO_LONG = /too long/;

function told(ran: Ran, name: string, path: string | RegExp, reason: RegExp): void {
  assert.is.not(ran.code, 0, `${name}: ${ran.stdout}${ran.stderr}`);
  assert.is.not(ran.code, 70, `${name}: ${ran.stderr}`);
  assert.match(ran.stderr, /^ERROR: .*\[KILN_(?!SYSTEM)\w+\]$/m, name);
  assert.match(ran.stderr, reason, name);
  assert.match(ran.stderr, path, name);
  assert.match(ran.stderr, /^hint: /m, name);
  assert.not.match(ran.stderr, /bug in Kiln|\n\s+at /, name);
}

async function rigged(): Promise<Rig> {
  const rig = await Rig.create();
  rig.write('.', {
    'c/Dockerfile': 'FROM scratch\nCOPY a /\n',
    'c/a': 'a',
    lay: 'FROM n\n',
    file: 'f',
  });
  symlinkSync('loop', rig.path('loop'));
  mkdirSync(rig.path('directory'));
  return rig;
}

test('a path that is circular, below a file or too long is reported everywhere', async () => {
  await using rig = await rigged();
  for (const [kind, seams] of Object.entries({ READ, WRITE }))
    for (const [name, args] of Object.entries(seams))
      for (const [path, reason] of [
        ['loop', LEADS_TO_ITSELF],
        ['file/x', /not a directory|does not exist|no kiln-caches/],
        [LONG, /too long|no kiln-caches/],
      ] as const)
        told(await rig.kiln(args(path)), `${kind} ${name} ${path.slice(0, 9)}`, path, reason);
});

test('a directory where a file is needed', async () => {
  await using rig = await rigged();
  for (const name of ['Dockerfile', 'secret', 'source of an index'] as const)
    told(
      await rig.kiln(READ[name]!('directory')),
      name,
      'directory',
      /is a directory|not a regular file/,
    );
  for (const name of ['iidfile', 'metadata file', 'graph'] as const)
    told(await rig.kiln(WRITE[name]!('directory')), name, 'directory', /is a directory/);
  const bare = await rig.kiln(['load', '-i', 'directory']);
  assert.match(bare.stderr, 'KILN_LAYOUT_INVALID');
});

test('a directory as standard input is an error, and not an empty text', async () => {
  await using rig = await rigged();
  const words: Readonly<Record<string, readonly string[]>> = {
    context: ['build', '-'],
    Dockerfile: ['build', '-f', '-', 'c'],
    archive: ['load'],
    password: ['login', '-u', 'a', '--password-stdin', 'localhost:1'],
  };
  for (const [name, args] of Object.entries(words)) {
    const script = 'exec "$0" "$@" < directory';
    const ran = await run(['sh', '-c', script, KILN, ...args], {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    });
    told(ran, name, 'standard input', /is a directory/);
  }
  const empty = await rig.kiln(['load'], { stdin: '' });
  assert.match(empty.stderr, 'standard input is empty');
});

test('a file whose bytes cannot be read (EIO)', async () => {
  await using rig = await rigged();
  symlinkSync('/proc/self/mem', rig.path('bad'));
  for (const name of [
    'Dockerfile',
    'ssh key',
    'archive to load',
    'source of a copy',
    'source of an index',
  ] as const)
    told(await rig.kiln(READ[name]!('bad')), name, 'bad', /input\/output error/);
  rig.write('.', { own: 'FROM scratch\nCOPY a /\n' });
  symlinkSync('/proc/self/mem', rig.path('own.dockerignore'));
  told(
    await rig.kiln(['build', '-f', 'own', 'c']),
    'ignore file',
    'own.dockerignore',
    /input\/output error/,
  );
  told(
    await rig.kiln(['build', 'c'], { env: { KILN_CONFIG: 'bad' } }),
    'kiln.toml',
    'bad',
    /input\/output error/,
  );
});

test('an ignore file that is a directory, or a link to itself', async () => {
  await using rig = await rigged();
  mkdirSync(rig.path('c/.dockerignore'));
  told(await rig.kiln(['build', 'c']), '.dockerignore', 'c/.dockerignore', /is a directory/);
  symlinkSync('Dockerfile.dockerignore', rig.path('c/Dockerfile.dockerignore'));
  told(
    await rig.kiln(['build', 'c']),
    'Dockerfile.dockerignore',
    'c/Dockerfile.dockerignore',
    LEADS_TO_ITSELF,
  );
});

test('a configuration file that is named must exist and be readable', async () => {
  await using rig = await rigged();
  for (const [path, reason] of [
    ['loop', LEADS_TO_ITSELF],
    ['nowhere', /no such file/],
    ['directory', /is a directory/],
    ['file/x', NOT_A_DIRECTORY],
    [LONG, TOO_LONG],
  ] as const)
    told(
      await rig.kiln(['build', 'c'], { env: { KILN_CONFIG: path } }),
      `KILN_CONFIG ${path.slice(0, 9)}`,
      path,
      reason,
    );
  const logout = (config: string) =>
    rig.kiln(['logout', 'localhost:1'], { env: { DOCKER_CONFIG: config } });
  told(await logout('loop'), 'DOCKER_CONFIG', 'loop/config.json', LEADS_TO_ITSELF);
});

test('a dangling link in place of a configuration file is reported with its target', async () => {
  await using rig = await rigged();
  symlinkSync('gone/kiln.toml', rig.path('broken'));
  told(
    await rig.kiln(['build', 'c'], { env: { KILN_CONFIG: 'broken' } }),
    'KILN_CONFIG',
    'broken',
    /a link to "gone\/kiln\.toml"|no such file/,
  );
  mkdirSync(rig.path('docker'));
  symlinkSync('lost.json', rig.path('docker/config.json'));
  const { code, stderr } = await rig.kiln(['build', 'c'], {
    env: { DOCKER_CONFIG: rig.path('docker') },
  });
  assert.is(code, 0, stderr);
  assert.match(stderr, /config\.json is a link to "lost\.json"/);
});

test('too many open files is an error that names the limit, not a changed context', async () => {
  await using rig = await rigged();
  const outcomes = new Set<string>();
  for (let limit = 20; limit < 60; limit += 2) {
    const build = `ulimit -n ${limit}; exec "$0" build --no-cache -o type=cacheonly c`;
    const ran = await run(['sh', '-c', build, KILN], {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    });
    // With such a low limit Node itself cannot start.
    if (/^Node\.js v/m.test(ran.stderr)) continue;
    assert.not.match(ran.stderr, /bug in Kiln|changed while/, ran.stderr);
    if (ran.code === 1) {
      outcomes.add('told');
      assert.match(ran.stderr, /too many open files/, ran.stderr);
      assert.match(ran.stderr, 'ulimit -n', ran.stderr);
    } else if (ran.code === 0) {
      outcomes.add('built');
      break;
    }
  }
  assert.equal([...outcomes], ['told', 'built']);
});

test('a full disk and a read-only disk, in every place where Kiln writes', async () => {
  await using rig = await rigged();
  const script = `mkdir ro full && mount -t tmpfs -o ro none ro && \
mount -t tmpfs -o size=64k none full &&
    head -c 64k /dev/zero >full/zeros; exec "$@"`;
  const within = (args: readonly string[]) =>
    run(
      [
        'unshare',
        '--mount',
        'sh',
        '-c',
        `cd ${rig.directory} && rm -rf ro full && ${script}`,
        'sh',
        KILN,
        ...args,
      ],
      {
        env: { KILN_ROOT: rig.store },
      },
    );
  for (const [name, args] of Object.entries(WRITE)) {
    told(await within(args('ro/x')), name, 'ro/x', /read-only file system/);
    if (name !== 'iidfile' && name !== 'saved caches')
      told(await within(args('full/x')), name, 'full/x', /no space left/);
  }
});

test('output files are checked before the build; a failure removes an old image ID', async () => {
  await using rig = await rigged();
  for (const flag of ['--iidfile', '--metadata-file']) {
    const ran = await rig.kiln(['build', '--progress=plain', flag, 'nowhere/x', 'c']);
    told(ran, flag, 'nowhere', /no such file/);
    assert.not.match(ran.stderr, '#1 ');
  }
  rig.write('.', { iid: 'sha256:old' });
  writeFileSync(rig.path('wrong'), 'FROM scratch\nCOPY nowhere /\n');
  await rig.kiln(['build', '--iidfile', 'iid', '-f', 'wrong', 'c'], { expect: 1 });
  assert.throws(() => execFileSync('test', ['-e', rig.path('iid')]));
  await rig.kiln(['build', '-q', '--iidfile', 'iid', 'c'], { expect: 0 });
  execFileSync('grep', ['-q', '^sha256:', rig.path('iid')]);
});

test('an ordinary user is told which path may not be used, and how to change it', async () => {
  await using rig = await prepared('FROM scratch\nCOPY . /\n');
  rig.write('.', {
    lay: 'FROM n\n',
    other: 'FROM scratch\nCOPY a.txt /\n',
    'c/no': 'n',
    closed: 'c',
  });
  mkdirSync(rig.path('shut'));
  mkdirSync(rig.path('ro'));
  for (const path of ['c/no', 'closed', 'shut']) chmodSync(rig.path(path), 0);
  const denied = async (name: string, path: string, ...args: string[]) =>
    told(await asUser(rig, 'without ids', ...args), name, path, /permission denied/);
  await denied('context file', 'chmod a+r no', 'build', 'c');
  await denied('context file', '/no', 'build', 'c');
  for (const [name, args] of Object.entries(READ)) {
    if (name === 'source of a copy' || name === 'saved caches') continue;
    const path = name === 'context' || name === 'named context' ? 'shut' : 'closed';
    await denied(name, path, ...args(path));
  }
  for (const name of ['iidfile', 'metadata file', 'graph'] as const)
    await denied(name, 'ro/x', ...WRITE[name]!('ro/x'));
  await denied('store', 'ro/x', ...WRITE['store']!('ro/x'));
  chmodSync(rig.path('c/no'), 0o644);
  mkdirSync(rig.path('c/shut'), 0o000);
  await denied('context directory', '/shut', 'build', 'c');
  rig.write('c', { '.dockerignore': 'shut\n' });
  chmodSync(rig.path('c/.dockerignore'), 0);
  await denied('ignore file', 'c/.dockerignore', 'build', 'c');
});

test.run();
