import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry, TEST_LOGIN } from '../registry/testing/registry.ts';
import { startTokenServer } from '../registry/testing/tokens.ts';
import { Daemon, freePort } from './daemon-rig.ts';
import { KILN, processesWith, type Ran, type RunOptions, run, steps, testImage } from './rig.ts';
import { ServeRig } from './serve-rig.ts';
import { hostPrograms, whyNoSsh } from './sshd.ts';
import { asUser, done, prepared, UID } from './user.ts';

/*
 * `kiln build --builder ADDRESS`: builds that this process sends to a server. The client has no
 * store: nothing is where KILN_ROOT points to, and nothing is made there.
 */

/** Builds at the server of a rig. It must succeed, or exit with `expect`. */
async function build(
  serve: ServeRig,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const { rig, socket } = serve;
  const ran = await run(
    [KILN, 'build', '--builder', `unix://${socket}`, '--progress=plain', ...args],
    {
      cwd: rig.directory,
      expect: 0,
      ...options,
      env: { KILN_ROOT: rig.path('no-store'), DOCKER_CONFIG: rig.path('docker'), ...options.env },
    },
  );
  assert.not(existsSync(rig.path('no-store')), 'the client made a store');
  return ran;
}

const stepsOf = ({ stderr }: Ran) => [...steps(stderr)].filter(([name]) => /\d\/\d\]/.test(name));

test('a context is built elsewhere with secrets, and what comes back is whole', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', {
    Dockerfile: `
FROM busybox AS made
COPY src link /src/
RUN --mount=type=secret,id=token cat /src/a; ls /src; test "$(cat /run/secrets/token)" = s3cret
FROM scratch
COPY --from=made --chmod=751 /src /to
COPY --from=made /src/a /
`,
    '.dockerignore': 'src/not\n',
    'src/a': 'one\n',
    'src/not': 'x',
    'src/ü b, c': 'strange',
    unused: 'x',
  });
  symlinkSync('src/a', rig.path('c/link'));
  rig.write('.', { token: 's3cret' });
  rig.write('out', { kept: 'mine' });
  symlinkSync('/', rig.path('out/to'));
  const args = ['--secret', 'id=token,src=token', context];
  const first = await build(serve, ['-o', 'out', ...args]);
  assert.match(first.stderr, /^#\d+ [\d.]+ one$/m);
  assert.not.match(first.stderr, /^#\d+ [\d.]+ not$/m);
  assert.equal(readdirSync(rig.path('out')).sort(), ['a', 'kept', 'to']);
  assert.equal(readdirSync(rig.path('out/to')).sort(), ['a', 'link', 'ü b, c'].sort());
  assert.is(readFileSync(rig.path('out/a'), 'utf8'), 'one\n');
  assert.is(statSync(rig.path('out/to')).mode & 0o777, 0o751);
  assert.equal(
    stepsOf(await build(serve, args)).map(([, end]) => end),
    ['CACHED', 'CACHED', 'CACHED', 'CACHED', 'CACHED'],
  );
  const archives = await build(serve, [
    ...['-o', 'type=tar,dest=tree.tar', '-o', 'type=oci,dest=image.tar', '-t', 'app:1'],
    ...['--metadata-file', 'm.json', '--iidfile', 'id', ...args],
  ]);
  assert.is(archives.stdout, '');
  assert.match((await run(['tar', '-tf', rig.path('tree.tar')])).stdout, /^to\/a$/m);
  const metadata = JSON.parse(readFileSync(rig.path('m.json'), 'utf8'));
  assert.is(metadata['containerimage.descriptor'].digest, metadata['containerimage.digest']);
  assert.match(metadata['buildx.build.ref'], /^remote\/remote\/[0-9a-f]{32}$/);
  assert.is(readFileSync(rig.path('id'), 'utf8'), metadata['containerimage.config.digest']);
  await rig.kiln(['load', '-q', '-i', 'image.tar'], { expect: 0 });
  assert.match((await rig.kiln(['images'])).stdout, /^app +1 /m);
  const piped = await build(serve, ['-o', '-', '-q', ...args]);
  assert.is(piped.stdoutBytes.subarray(257, 262).toString(), 'ustar');
});

test('a step that fails elsewhere is told with its output and its lines', async () => {
  await using serve = await ServeRig.create('busybox');
  const context = serve.rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN echo told; exit 7\n',
  });
  const { stderr } = await build(serve, [context], { expect: 1 });
  assert.match(stderr, /^WARNING: no output is given/m);
  assert.match(stderr, /^------\ntold\n------\nDockerfile:2$/m);
  assert.match(stderr, /^ +2 \| >>> RUN echo told; exit 7$/m);
  assert.match(stderr, /did not complete successfully: exit code: 7 \[KILN_STEP_FAILED\]/);
  const wrong = await build(serve, ['-f', '-', context], {
    expect: 1,
    stdin: 'FROM busybox\nRUNN\n',
  });
  assert.match(wrong.stderr, /unknown instruction: RUNN .*\[KILN_DOCKERFILE_UNKNOWN_INSTRUCTION\]/);
  const large = `FROM busybox\n${`# ${'x'.repeat(200)}\n`.repeat(2_000)}RUNN\n`;
  const far = await build(serve, ['-f', '-', context], { expect: 1, stdin: large });
  assert.match(far.stderr, /^2002 \| >>> RUNN$/m);
  const missing = await build(serve, ['-f', 'c/Nope', context], { expect: 1 });
  assert.match(missing.stderr, /\[KILN_DOCKERFILE_NOT_FOUND\]/);
  const events = await build(serve, ['--progress=rawjson', context], { expect: 1 });
  const messages = events.stderr.split('\n').filter((line) => line.startsWith('{'));
  assert.ok(messages.map((line) => JSON.parse(line)).some(({ logs }) => logs));
});

test('questions about a Dockerfile are answered elsewhere as they are here', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', { Dockerfile: 'FROM scratch AS tree\ncopy a /\n', a: '' });
  for (const call of ['--check', '--call=targets,format=json', '--call=outline']) {
    const there = await build(serve, [call, context], { expect: undefined });
    const here = await rig.kiln(['build', call, context]);
    // Here the name of the Dockerfile is its path.
    const told = here.stdout.replace(`${context}/Dockerfile`, 'Dockerfile');
    assert.equal([there.stdout, there.code], [told, here.code]);
  }
});

test('Dockerfiles and contexts from everywhere are lent, and no more than that', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const text = await build(serve, ['-'], { stdin: 'FROM busybox\nRUN echo from text\n' });
  assert.match(text.stderr, /^#\d+ [\d.]+ from text$/m);
  rig.write('c', { 'in/Other': 'FROM busybox\nCOPY in/f /\nRUN cat /f\n', 'in/f': 'packed\n' });
  const { stdout } = await run(['sh', '-c', 'tar -C c -cz . | base64'], { cwd: rig.directory });
  const archive = await build(serve, ['-f', 'in/Other', '-'], {
    stdin: Buffer.from(stdout, 'base64'),
  });
  assert.match(archive.stderr, /^#\d+ [\d.]+ packed$/m);
  rig.write('far', {
    'My.file': 'FROM busybox\nCOPY --from=more f g /\nRUN cat /f; ls\n',
    'My.file.dockerignore': 'in\n',
    secret: 'x',
  });
  rig.write('more', { f: 'named\n', g: '' });
  const named = await build(serve, ['-f', 'far/My.file', '--build-context', 'more=more', 'c']);
  assert.match(named.stderr, /^#\d+ [\d.]+ named$/m);
  // What is beside a Dockerfile outside the context is nobody's.
  const nosy = await build(serve, ['-f', 'far/My.file', '--build-context', 'more=nope', 'c'], {
    expect: 1,
  });
  assert.match(nosy.stderr, /\[KILN_CONTEXT_NOT_FOUND\]/);
});

test('caches and OCI layouts in directories of the client are written and read', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo made >/made\n' });
  await build(serve, [
    ...['-o', 'type=oci,tar=false,dest=layout', '-t', 'made:1'],
    ...['--cache-to', 'type=local,dest=cache,mode=max', context],
  ]);
  const [entry] = JSON.parse(readFileSync(rig.path('layout/index.json'), 'utf8')).manifests;
  assert.is(entry.annotations['io.containerd.image.name'], 'docker.io/library/made:1');
  await serve.buildx(['prune', '--all', '--force']);
  const cached = await build(serve, ['--cache-from', 'type=local,src=cache', context]);
  assert.equal(
    stepsOf(cached)
      .filter(([name]) => name.includes('RUN'))
      .map(([, end]) => end),
    ['CACHED'],
    cached.stderr,
  );
  const told = await build(serve, ['--build-context', 'x=oci-layout://layout:1', '-'], {
    stdin: 'FROM x\nRUN cat /made\n',
  });
  assert.match(told.stderr, /^#\d+ [\d.]+ made$/m);
  const without = await build(serve, ['--cache-from', 'type=local,src=nowhere', context]);
  assert.match(without.stderr, /a cache is not read/);
});

test('what cannot be sent is an error, what makes no difference a warning', async () => {
  await using serve = await ServeRig.create();
  const context = serve.rig.write('c', { Dockerfile: 'FROM scratch\n' });
  const squash = await build(serve, ['--squash', context], { expect: 2 });
  assert.match(squash.stderr, /--squash cannot be sent to a builder elsewhere/);
  const limited = await build(serve, ['--memory=1g', '--explain', '-o', 'type=cacheonly', context]);
  assert.equal(limited.stderr.match(/^WARNING: --\w+ has no effect/gm), [
    'WARNING: --explain has no effect',
    'WARNING: --memory has no effect',
  ]);
});

test('the builder may be named by variables, and a name that is no address is none', async () => {
  await using serve = await ServeRig.create();
  const { rig, socket } = serve;
  const context = rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  const kiln = (env: NodeJS.ProcessEnv, ...args: string[]) =>
    rig.kiln(['build', '--progress=plain', ...args, '-o', 'type=cacheonly', context], {
      env: { KILN_ROOT: rig.path('own'), ...env },
    });
  const isElsewhere = () => !existsSync(rig.path('own'));
  const address = `unix://${socket}`;
  for (const env of [{ BUILDKIT_HOST: address }, { BUILDX_BUILDER: address }])
    assert.ok((await kiln(env)).code === 0 && isElsewhere(), JSON.stringify(env));
  const named = await kiln({ BUILDKIT_HOST: address }, '--builder=mine');
  assert.not(isElsewhere());
  assert.match(named.stderr, /--builder "mine" has no effect/);
  const gone = await kiln({ BUILDKIT_HOST: `${address}.gone` });
  assert.match(gone.stderr, /cannot connect to unix:.*\[KILN_SERVER_UNREACHABLE\]/);
  const wrong = await kiln({}, '--builder=ftp://x');
  assert.match(wrong.stderr, /its scheme is not known \[KILN_ADDRESS_INVALID\]/);
});

test('a server in a container or behind ssh is reached by buildctl there', async () => {
  await using serve = await ServeRig.create();
  const { rig, socket } = serve;
  const context = rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  // In the place of the programs: what they are told to run is run here.
  rig.write('bin', {
    docker: '#!/bin/sh\n[ "$1 $2 $3" = "exec -i box" ] && shift 3 && exec "$@"\n',
    ssh: '#!/bin/sh\necho "$@" >>ssh.log; while [ $1 != -- ]; do shift; done; shift 2; "$@"\n',
  });
  await run(['chmod', '+x', rig.path('bin/docker'), rig.path('bin/ssh')]);
  symlinkSync(KILN, rig.path('bin/buildctl'));
  const env = {
    PATH: `${rig.path('bin')}:${process.env['PATH']}`,
    BUILDKIT_HOST: `unix://${socket}`,
  };
  const at = (builder: string, expect: number) =>
    rig.kiln(['build', '--builder', builder, '--progress=plain', '-o', 'out', context], {
      env,
      expect,
    });
  await at('docker-container://box', 0);
  await at(`ssh://me@host:2222${socket}`, 0);
  assert.is(
    readFileSync(rig.path('ssh.log'), 'utf8'),
    `-l me -p 2222 -- host buildctl --addr unix://${socket} dial-stdio\n`,
  );
  writeFileSync(rig.path('bin/docker'), '#!/bin/sh\necho no such container >&2; exit 1\n');
  const broken = await at('docker-container://gone', 1);
  assert.match(broken.stderr, /no such container/);
  assert.match(broken.stderr, /\[KILN_SERVER_UNREACHABLE\]/);
});

test('a build that is cancelled ends elsewhere, too', async () => {
  await using serve = await ServeRig.create('busybox');
  const mark = `sleep ${3600 + Math.floor(Math.random() * 1e6)}`;
  const context = serve.rig.write('c', { Dockerfile: `FROM busybox\nRUN echo up; ${mark}\n` });
  let isKilled = false;
  const { stderr } = await build(serve, [context], {
    expect: 130,
    watch: (output, kill) => {
      if (isKilled || !/^#\d+ [\d.]+ up$/m.test(output)) return;
      isKilled = true;
      kill('SIGINT');
    },
  });
  assert.match(stderr, /the build was cancelled/);
  const gone = Date.now();
  while (processesWith(mark).length > 0) {
    assert.ok(Date.now() - gone < 10_000, 'the step still runs');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

test('an ordinary user needs no namespace to build elsewhere, and owns what comes', async () => {
  const dockerfile = 'FROM busybox\nCOPY --chown=5:6 a.txt /d/\nRUN cat /d/a.txt\n';
  await using rig = await prepared(dockerfile);
  await rig.kiln(['load', '--quiet', '--input', testImage('busybox')], { expect: 0 });
  const address = `tcp://127.0.0.1:${await freePort()}`;
  await using _daemon = await new Daemon(rig, ['--addr', address]).listening();
  const home = rig.path('home');
  const build = ['build', '--builder', address, '--progress=plain', '-o', `${home}/out`];
  const { stderr } = await done(asUser(rig, 'without ids', ...build, rig.path('c')));
  assert.match(stderr, /^#\d+ [\d.]+ a$/m);
  for (const path of ['out', 'out/d', 'out/d/a.txt'])
    assert.is(statSync(`${home}/${path}`).uid, UID, path);
  assert.equal(readdirSync(home), ['out']);
});

const noSsh = whyNoSsh();
if (noSsh) console.log(`SKIP ssh agents for steps elsewhere: ${noSsh}`);
else
  test('steps elsewhere reach the ssh agents that are lent, and no others', async () => {
    await using serve = await ServeRig.create('busybox');
    const { rig } = serve;
    hostPrograms(rig.path('tools'), '/usr/bin/ssh-add');
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'mine', '-f', 'key'], {
      cwd: rig.directory,
      expect: 0,
    });
    const context = rig.write('c', {
      Dockerfile: `
FROM busybox
ENV PATH=/host/bin:$PATH
RUN --mount=type=bind,from=tools,target=/host --mount=type=ssh ssh-add -L
RUN --mount=type=ssh,id=other,target=/agent test ! -e /agent
`,
    });
    const { stderr } = await build(serve, [
      ...['--ssh', 'default=key', '--build-context', 'tools=tools', context],
    ]);
    assert.match(stderr, /^#\d+ [\d.]+ ssh-ed25519 \S+/m);
  });

const missing = registryMissing();
if (missing) console.log(`SKIP pushes from elsewhere with the login of the caller: ${missing}`);
else
  test('a push from elsewhere uses tokens that the caller gets', async () => {
    await using tokens = await startTokenServer(TEST_LOGIN);
    await using registry = await startRegistry({ tokens });
    await using open = await startRegistry({ login: true });
    await using serve = await ServeRig.create();
    const { rig } = serve;
    const auth = Buffer.from(Object.values(TEST_LOGIN).join(':')).toString('base64');
    rig.write('docker', {
      'config.json': JSON.stringify({
        auths: { [registry.host]: { auth }, [open.host]: { auth } },
      }),
    });
    const context = rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
    for (const { host } of [registry, open]) {
      await build(serve, ['--push', '-t', `${host}/private/app:1`, context]);
      const shown = await serve.buildx(['imagetools', 'inspect', `${host}/private/app:1`]);
      assert.match(shown.stdout, /MediaType:/);
    }
    await build(serve, ['--push', '-t', `${registry.host}/private/app:1`, context], {
      env: { DOCKER_CONFIG: rig.path('nothing') },
      expect: 1,
    });
  });

test.run();
