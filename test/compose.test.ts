import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { loadingEngine } from './loading-engine.ts';
import { cat, type RunOptions, run, steps } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** Two services. `app` is built on `base`, with all that Compose can say about a build. */
const COMPOSE = `
name: shop
services:
  base:
    image: \${REGISTRY:-example.com}/shop/base
    build:
      dockerfile_inline: |
        FROM busybox
        RUN echo base >/base
  app:
    image: \${REGISTRY:-example.com}/shop/app:1
    build:
      context: app
      dockerfile: Other
      target: final
      args:
        WORD: from-file
        UNSET:
      labels:
        shop.label: yes-please
      tags: ["\${REGISTRY:-example.com}/shop/app:extra"]
      secrets:
        - token
        - source: variable
          target: renamed
      ssh: ["default=key"]
      platforms: [linux/amd64]
      cache_from: ["type=local,src=cache"]
      cache_to: ["type=local,dest=cache,mode=max"]
      extra_hosts: ["db=10.1.2.3"]
      shm_size: 32m
      ulimits: { nofile: { soft: 111, hard: 222 } }
      network: none
      no_cache: false
      additional_contexts:
        parent: service:base
        files: ./files
        tools: docker-image://busybox
secrets:
  token: { file: token }
  variable: { environment: SECRET }
`;

const OTHER = `
FROM parent AS first
ARG WORD
ARG UNSET
RUN --mount=type=secret,id=token --mount=type=secret,id=renamed --mount=type=ssh \\
  --mount=from=files,target=/files \\
  test -S "$SSH_AUTH_SOCK" && cat /base /files/f /run/secrets/token /run/secrets/renamed && \\
  echo "word $WORD, unset $UNSET, files $(ulimit -n)" && cat /etc/hosts && \\
  grep shm /proc/mounts && echo "interfaces:" $(ls /sys/class/net)
FROM first AS final
COPY --from=tools /bin/busybox /tool
FROM final AS never
RUN false
`;

async function shop(...images: readonly string[]): Promise<ServeRig> {
  const serve = await ServeRig.create(...images);
  const { rig } = serve;
  rig.write('.', {
    'compose.yaml': COMPOSE,
    'app/Other': OTHER,
    'files/f': 'file of a context\n',
    token: 'secret of a file\n',
  });
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', rig.path('key')], { expect: 0 });
  return serve;
}

const ENV = { SECRET: 'secret of a variable\n', UNSET: 'from-environment' };

test('docker compose build without a Docker engine: every service stays in the store', async () => {
  await using serve = await shop('busybox');
  const { rig } = serve;
  const bake = (await serve.docker(['compose', 'build', '--print'], { env: ENV })).stdout;
  const told = await serve.buildx(['bake', '-f', '-', '--set=*.output=type=image'], {
    stdin: bake,
    env: { ...ENV, BUILDKIT_PROGRESS: 'plain' },
  });
  for (const said of [
    'base',
    'file of a context',
    'secret of a file',
    'secret of a variable',
    'word from-file, unset from-environment, files 111',
    '10.1.2.3\tdb',
    'shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=32768k 0 0',
    'interfaces: lo',
  ])
    assert.match(told.stderr, new RegExp(`^#\\d+ [\\d.]+ ${said}$`, 'm'));
  assert.is(await cat(rig, 'example.com/shop/app:extra', '/base'), 'base\n');
  const label =
    '{{index .Config.Labels "shop.label"}} {{index .Config.Labels "com.docker.compose.service"}}';
  const shown = await rig.kiln(['inspect', '--format', label, 'example.com/shop/app:1'], {
    expect: 0,
  });
  assert.is(shown.stdout, 'yes-please app\n');
  assert.match(readFileSync(rig.path('cache/index.json'), 'utf8'), 'sha256:');
});

test('docker compose build loads each service into the Docker engine that there is', async () => {
  await using serve = await shop('busybox');
  const { rig } = serve;
  const path = rig.path('engine.sock');
  await using engine = await loadingEngine(path, false);
  await serve.docker(['compose', 'build'], { env: { ...ENV, DOCKER_HOST: `unix://${path}` } });
  assert.is(engine.loaded.length, 2);
  for (const archive of engine.loaded) {
    rig.write('.', { 'loaded.tar': archive });
    await rig.kiln(['load', '-q', '-i', 'loaded.tar'], { expect: 0 });
  }
  for (const name of ['base', 'app:1', 'app:extra'])
    await rig.kiln(['inspect', `example.com/shop/${name}`], { expect: 0 });
});

test('docker compose build says what is missing when there is no engine to load into', async () => {
  await using serve = await shop('busybox');
  const failed = await serve.docker(['compose', 'build', 'base'], { env: ENV, expect: 1 });
  assert.match(failed.stderr, 'the client did not take the output of type=docker');
  assert.match(failed.stderr, 'the client needs a Docker engine');
});

test('docker compose build --check checks services, also one built on another', async () => {
  await using serve = await shop('busybox');
  await serve.docker(['compose', 'build', '--check'], { env: ENV });
  serve.rig.write('app', { Other: OTHER.replace('COPY', 'copy') });
  const checked = await serve.docker(['compose', 'build', '--check'], { env: ENV, expect: 1 });
  assert.match(checked.stdout, 'ConsistentInstructionCasing');
});

test('docker compose builds many services of one directory at once', async () => {
  await using serve = await ServeRig.create('busybox');
  const numbers = Array.from({ length: 10 }, (_, index) => index);
  const services = numbers.map(
    (number) => `
  s${number}:
    image: many/s${number}
    build:
      context: .
      dockerfile_inline: "FROM busybox\\nCOPY f /\\nRUN cat /f >/own; echo ${number} >>/own"`,
  );
  serve.rig.write('.', { 'compose.yaml': `services:${services.join('')}\n`, f: 'shared ' });
  const bake = (await serve.docker(['compose', 'build', '--print'])).stdout;
  await serve.buildx(['bake', '-f', '-', '--set=*.output=type=image'], { stdin: bake });
  for (const number of [0, 9])
    assert.is(await cat(serve.rig, `many/s${number}`, '/own'), `shared ${number}\n`);
});

test('the other flags of docker compose build do what its help says', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  // At this address there is no registry.
  await rig.kiln(['tag', 'busybox', '127.0.0.1:9/base:1'], { expect: 0 });
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', rig.path('key')], { expect: 0 });
  const service = (name: string, dockerfile: string) => `
  ${name}:
    build:
      context: .
      dockerfile_inline: ${JSON.stringify(dockerfile)}
      # With several platforms, Compose loads nothing into an engine.
      platforms: [linux/amd64, linux/arm64]`;
  const ssh = 'FROM busybox\nRUN --mount=type=ssh test -S "$$SSH_AUTH_SOCK"\n';
  const moving = 'FROM 127.0.0.1:9/base:1\nLABEL a=b\n';
  rig.write('.', {
    'compose.yaml': `services:${service('ssh', ssh)}${service('moving', moving)}\n`,
  });
  const build = async (args: readonly string[], options: RunOptions = {}) => {
    const ran = await serve.docker(['compose', 'build', ...args], options);
    return ran.stdout + ran.stderr;
  };
  await build(['--dry-run', 'moving']);
  assert.is((await serve.buildx(['history', 'ls', '--format', '{{.Ref}}'])).stdout, '');
  await build(['--memory', '100m', 'moving']);
  const refused = await build(['--pull', 'moving'], { expect: 1 });
  assert.match(refused, 'cannot reach registry 127.0.0.1:9');
  await build(['--ssh', 'default=key', 'ssh']);
  await build(['--no-cache', 'ssh'], { expect: 1 });
  const env = { BUILDX_BUILDER: 'nobody' };
  assert.match(await build(['moving'], { env, expect: 1 }), 'no builder "nobody" found');
  await build(['--builder', 'k', 'moving'], { env });
});

test('each flag of the help of docker compose build is in a test', async () => {
  await using serve = await ServeRig.create();
  const { stdout } = await serve.docker(['compose', 'build', '--help']);
  const flags = [...stdout.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag = '']) => flag);
  assert.ok(flags.length > 12, stdout);
  const tests = readFileSync(import.meta.filename, 'utf8');
  for (const flag of flags) assert.ok(tests.includes(`'${flag}`), flag);
});

const missing = registryMissing();
if (missing) console.log(`SKIP docker compose build --push: ${missing}`);
else
  test('docker compose build --push pushes all tags, and takes the flags of its help', async () => {
    await using registry = await startRegistry();
    await using serve = await shop('busybox');
    const env = { ...ENV, REGISTRY: registry.host };
    const build = async (...args: string[]) => {
      const ran = await serve.docker(['compose', '--progress', 'plain', 'build', ...args], { env });
      return ran.stdout + ran.stderr;
    };
    await build('--push');
    const digests = await Promise.all(
      ['app:1', 'app:extra', 'base:latest'].map(async (name) => {
        const of = ['imagetools', 'inspect', '--format', '{{json .Manifest}}'];
        const { stdout } = await serve.buildx([...of, `${registry.host}/shop/${name}`]);
        return JSON.parse(stdout).digest;
      }),
    );
    assert.is(digests[0], digests[1]);
    assert.is.not(digests[0], digests[2]);
    const stepsOf = (told: string) =>
      [...steps(told)].filter(([name]) => / (RUN|COPY) /.test(name));
    const again = stepsOf(await build('--push', 'app'));
    assert.is(again.length, 3);
    for (const [name, end] of again) assert.is(end, 'CACHED', name);
    const flags = ['--no-cache', '--with-dependencies', '--build-arg', 'WORD=flag'];
    const rebuilt = await build('--push', ...flags, 'app');
    assert.match(rebuilt, 'word flag, unset from-environment');
    for (const [name, end] of stepsOf(rebuilt)) assert.is(end, 'DONE', name);
    await build('--quiet', '--push');
    await build('--push', '--provenance', 'mode=max', '--sbom', 'true', 'base');
    const sbom = ['imagetools', 'inspect', '--format', '{{json .SBOM.SPDX.spdxVersion}}'];
    const { stdout } = await serve.buildx([...sbom, `${registry.host}/shop/base`]);
    assert.is(stdout, '"SPDX-2.3"');
  });

test.run();
