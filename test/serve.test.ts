import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, symlinkSync, utimesSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry, TEST_LOGIN } from '../registry/testing/registry.ts';
import { startTokenServer } from '../registry/testing/tokens.ts';
import { processesWith, run, steps, testImage } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

const DOCKERFILE = `
FROM busybox:latest
COPY src /src
RUN --mount=type=secret,id=token cat /src/a; test "$(cat /run/secrets/token)" = s3cret
`;

test('docker buildx builds a context with steps and secrets, and finds it cached', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', { Dockerfile: DOCKERFILE, 'src/a': 'one\n', unused: 'x' });
  rig.write('.', { token: 's3cret' });
  const args = ['--secret', 'id=token,src=token', '-o', 'type=oci,dest=out.tar', context];
  const first = await serve.build(args);
  assert.match(first, /^#\d+ [\d.]+ one$/m);
  assert.equal([...steps(first).values()].slice(-3, -1), ['DONE', 'DONE'], first);
  // As BuildKit names them, and in its order where it has one.
  const names = [...first.matchAll(/^#\d+ (\[internal\].*)$/gm)].map(([, name]) => name);
  assert.equal(names.slice(0, 3), [
    '[internal] load build definition from Dockerfile',
    '[internal] load metadata for docker.io/library/busybox:latest',
    '[internal] load .dockerignore',
  ]);
  assert.match((await run(['tar', '-tf', rig.path('out.tar')])).stdout, /^index\.json$/m);
  const second = [...steps(await serve.build(args))].filter(([name]) => name.startsWith('[stage'));
  assert.equal(
    second.map(([, end]) => end),
    ['CACHED', 'CACHED', 'CACHED'],
  );
  // Other bytes of the same size and time.
  const file = rig.path('c/src/a');
  const { atime, mtime } = statSync(file);
  rig.write('c', { 'src/a': 'two\n' });
  utimesSync(file, atime, mtime);
  assert.match(await serve.build(args), /^#\d+ [\d.]+ two$/m);
  assert.is(serve.printed.split('\n').length, 2, serve.printed);
});

test('a named context has an ignore file of its own, which is a step of its own', async () => {
  await using serve = await ServeRig.create();
  const { rig } = serve;
  rig.write('other', { '.dockerignore': 'a\n', a: '', b: '' });
  const context = rig.write('c', {
    Dockerfile: 'FROM scratch\nCOPY --from=other . /other/\nCOPY . /own/\n',
    '.dockerignore': 'b\nDockerfile\n',
    a: '',
    b: '',
  });
  const args = ['--build-context', 'other=other', '-o', 'out', context];
  const told = await serve.build(args);
  for (const name of ['[context other] load .dockerignore', '[internal] load .dockerignore'])
    assert.is(told.split('\n').filter((line) => line.endsWith(` ${name}`)).length, 1, told);
  assert.equal(readdirSync(rig.path('out/other')), ['.dockerignore', 'b']);
  assert.equal(readdirSync(rig.path('out/own')), ['.dockerignore', 'a']);
});

test('a step that fails is shown with its output, its lines and its exit code', async () => {
  await using serve = await ServeRig.create('busybox');
  const context = serve.rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN echo told; exit 7\n',
  });
  const told = await serve.build([context], { expect: 1 });
  assert.match(told, /^[\d.]+ told$/m);
  assert.match(told, /^ +2 \| >>> RUN echo told; exit 7$/m);
  assert.match(told, /did not complete successfully: exit code: 7/);
  const wrong = await serve.build(['-f', '-', context], {
    expect: 1,
    stdin: 'FROM busybox\nRUNN\n',
  });
  assert.match(wrong, />>> RUNN$/m);
  assert.match(wrong, /unknown instruction: RUNN/);
  serve.rig.write('c', { Dockerfile: 'FROM busybox\nCOPY gone /\n', there: '' });
  const missing = await serve.build([context], { expect: 1 });
  assert.match(missing, /"\/gone": not found/);
  assert.not.match(missing, /source is empty|there is/);
});

test('directories come back, questions are answered, and bake links its targets', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', {
    Dockerfile: 'FROM scratch AS tree\nCOPY --chmod=751 sub /to/\nCOPY link /\n',
    Base: 'FROM busybox\nENV WORD=base\nRUN echo $WORD >/b\n',
    App: 'FROM base\nRUN cat /b; echo "$WORD"\n',
    'sub/f': 'text',
    'docker-bake.hcl': `
group "default" { targets = ["app"] }
target "base" { dockerfile = "Base" }
target "app" {
  dockerfile = "App"
  contexts = { base = "target:base" }
}
`,
  });
  symlinkSync('sub/f', rig.path('c/link'));
  await serve.build(['-o', 'out', context]);
  assert.is(readFileSync(rig.path('out/link'), 'utf8'), 'text');
  assert.is(statSync(rig.path('out/to/f')).mode & 0o777, 0o751);
  const outline = await serve.buildx(['build', '--call=targets,format=json', context]);
  assert.is(JSON.parse(outline.stdout).targets[0].name, 'tree');
  const checked = await serve.buildx(['build', '--check', '-f', '-', context], {
    stdin: 'FROM scratch\ncopy a /\n',
    expect: 1,
  });
  assert.match(checked.stdout, /ConsistentInstructionCasing/);
  assert.match((await serve.buildx(['du'])).stdout, /Total:/);
  const baked = await serve.buildx(['bake', '--progress=plain'], { cwd: context });
  assert.match(baked.stderr, /^#\d+ [\d.]+ base\n#\d+ [\d.]+ base$/m);
  assert.match((await serve.buildx(['prune', '--all', '--force'])).stdout, /Total:\s+[1-9]/);
});

test('devices and pipes of a result come back as what they are', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const nodes = 'mknod null c 1 3; mknod large c 10 300; mknod loop b 7 5; mkfifo pipe';
  const context = rig.write('c', {
    Dockerfile: `FROM busybox AS made
WORKDIR /n
RUN ${nodes}
FROM scratch
COPY --from=made /n /
`,
  });
  await serve.build(['-o', 'out', context]);
  const told = execFileSync('stat', ['-c', '%n %F %t %T', 'large', 'loop', 'null', 'pipe'], {
    cwd: rig.path('out'),
    encoding: 'utf8',
  });
  assert.equal(told.trim().split('\n'), [
    'large character special file a 12c',
    'loop block special file 7 5',
    'null character special file 1 3',
    'pipe fifo 0 0',
  ]);
});

test('a Dockerfile or an archive on standard input is built', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const text = await serve.build(['-'], { stdin: 'FROM busybox\nRUN echo from text\n' });
  assert.match(text, /^#\d+ [\d.]+ from text$/m);
  rig.write('c', { 'in/Other': 'FROM busybox\nCOPY in/f /\nRUN cat /f\n', 'in/f': 'packed\n' });
  const { stdout } = await run(['sh', '-c', 'tar -C c -cz . | base64'], { cwd: rig.directory });
  const stdin = Buffer.from(stdout, 'base64');
  assert.match(await serve.build(['-f', 'in/Other', '-'], { stdin }), /^#\d+ [\d.]+ packed$/m);
});

test('caches and OCI layouts in directories of the client are written and read', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo made >/made\n' });
  const layout = ['-o', 'type=oci,tar=false,dest=layout', '--provenance=false'];
  await serve.build([...layout, '--cache-to', 'type=local,dest=cache,mode=max', context]);
  assert.ok(statSync(rig.path('layout/blobs/sha256')).isDirectory());
  await serve.buildx(['prune', '--all', '--force']);
  const cached = await serve.build(['--cache-from', 'type=local,src=cache', context]);
  const ends = [...steps(cached)].filter(([name]) => name.includes('RUN')).map(([, end]) => end);
  assert.equal(ends, ['CACHED'], cached);
  const told = await serve.build(
    ['--build-context', 'made=oci-layout://layout', '-f', '-', context],
    {
      stdin: 'FROM made\nRUN cat /made\n',
    },
  );
  assert.match(told, /^#\d+ [\d.]+ made$/m);
});

test('a build whose client is gone ends within seconds', async () => {
  await using serve = await ServeRig.create('busybox');
  const mark = `sleep ${3600 + Math.floor(Math.random() * 1e6)}`;
  const context = serve.rig.write('c', { Dockerfile: `FROM busybox\nRUN echo up; ${mark}\n` });
  const ran = await serve.buildx(['build', '--progress=plain', context], {
    expect: undefined,
    watch: (output, kill) => {
      if (/^#\d+ [\d.]+ up$/m.test(output)) kill('SIGKILL');
    },
  });
  assert.is(ran.signal, 'SIGKILL');
  const gone = Date.now();
  while (processesWith(mark).length > 0) {
    assert.ok(Date.now() - gone < 5_000, 'the step still runs');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

test('a server that is ended cancels what runs, and leaves the store whole', async () => {
  await using serve = await ServeRig.create('busybox');
  const mark = `sleep ${3600 + Math.floor(Math.random() * 1e6)}`;
  const context = serve.rig.write('c', { Dockerfile: `FROM busybox\nRUN echo up; ${mark}\n` });
  let ended: Promise<number | null> | undefined;
  const told = await serve.build([context], {
    expect: 130,
    watch: (output) => {
      if (/^#\d+ [\d.]+ up$/m.test(output)) ended ??= serve.end();
    },
  });
  assert.match(told, /the build was cancelled/);
  assert.is(await ended, 0, serve.printed);
  assert.equal(processesWith(mark), []);
  assert.is(serve.printed.split('\n').length, 2, serve.printed);
  await serve.rig.kiln(['fsck'], { expect: 0 });
});

const missing = registryMissing();
if (missing) console.log(`SKIP pushes with the login of the client: ${missing}`);
else
  test('a push uses the login of the client', async () => {
    await using registry = await startRegistry({ login: true });
    await using serve = await ServeRig.create();
    const { rig } = serve;
    const auth = Buffer.from(Object.values(TEST_LOGIN).join(':')).toString('base64');
    rig.write('docker', {
      'config.json': JSON.stringify({ auths: { [registry.host]: { auth } } }),
    });
    const base = `${registry.host}/team/base:1`;
    await rig.kiln(['copy', '-q', `oci-archive:${testImage('busybox')}`, base], {
      expect: 0,
      env: { DOCKER_CONFIG: rig.path('docker') },
    });
    const name = `${registry.host}/team/app:1`;
    const context = rig.write('c', { Dockerfile: `FROM ${base}\nRUN echo made >/made\n` });
    await serve.build(['--push', '-t', name, context]);
    const shown = await serve.buildx(['imagetools', 'inspect', name]);
    assert.match(shown.stdout, /MediaType:\s+application\/vnd\.oci\.image/);
  });

if (!missing)
  test('a client that keeps its login gets the tokens for a push', async () => {
    await using tokens = await startTokenServer(TEST_LOGIN);
    await using registry = await startRegistry({ tokens });
    await using serve = await ServeRig.create();
    const { rig } = serve;
    const auth = Buffer.from(Object.values(TEST_LOGIN).join(':')).toString('base64');
    rig.write('docker', {
      'config.json': JSON.stringify({ auths: { [registry.host]: { auth } } }),
    });
    const context = rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
    const push = ['--push', '-t', `${registry.host}/private/app:1`, context];
    assert.not.match(await serve.build(push), /sharing credentials/);
    const askedByKiln = () => tokens.seen.some(({ headers }) => headers['user-agent'] === 'kiln');
    assert.ok(tokens.seen.length > 0 && !askedByKiln());
    // This client is told to fetch no tokens, and so tells its login.
    const env = { BUILDKIT_NO_CLIENT_TOKEN: '1' };
    assert.match(await serve.build(push, { env }), /sharing credentials/);
    assert.ok(askedByKiln());
  });

test('a build runs more steps at once than the host has processors', async () => {
  await using serve = await ServeRig.create('busybox');
  // Each step waits for all of them.
  const stages = ['a', 'b', 'c', 'd', 'e', 'f'];
  const wait = `[ $(ls /c | wc -l) -ge ${stages.length} ] && exit 0; sleep 0.1`;
  const lines = stages.map(
    (name) =>
      `FROM busybox AS ${name}\nRUN --mount=type=cache,target=/c ` +
      `touch /c/${name}; for i in $(seq 600); do ${wait}; done; exit 1\n`,
  );
  const copies = stages.map((name) => `COPY --from=${name} /etc/passwd /${name}\n`);
  const context = serve.rig.write('all', {
    Dockerfile: `${lines.join('')}FROM scratch\n${copies.join('')}`,
  });
  await serve.build([context]);
});

test.run();
