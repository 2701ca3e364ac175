import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, Rig, ROOT, run } from './rig.ts';

interface Expected {
  readonly code: string;
  readonly says: readonly (string | RegExp)[];
}

/**
 * Runs a build that must fail, with a code, a non-zero exit and no stack trace. A good build
 * afterwards shows that the store is intact.
 */
async function fails(
  rig: Rig,
  args: readonly string[],
  expected: Expected,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const ran = await rig.kiln(['build', '--progress=plain', ...args], { env });
  assert.is.not(ran.code, 0, ran.stderr);
  assert.is.not(ran.code, 70, ran.stderr);
  assert.match(ran.stderr, expected.code);
  for (const text of expected.says) assert.match(ran.stderr, text);
  assert.not.match(ran.stderr, /\n\s+at .*\.(js|ts):\d+/);
  rig.write('good', { Dockerfile: 'FROM busybox\nRUN echo fine > /fine\n' });
  await rig.build('good', '-t', 'good');
}

function withDockerfile(
  name: string,
  dockerfile: string,
  expected: Expected,
  files: Record<string, string> = {},
  args: readonly string[] = [],
): void {
  test(name, async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', { Dockerfile: dockerfile, ...files });
    await fails(rig, [...args, 'c'], expected);
  });
}

test('no Dockerfile', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { 'app.Dockerfile': 'FROM busybox' });
  await fails(rig, ['c', '-f', 'c/app'], {
    code: 'KILN_DOCKERFILE_NOT_FOUND',
    says: ['failed to read dockerfile', 'c/app.Dockerfile'],
  });
});

test('no context directory', async () => {
  await using rig = await Rig.create('busybox');
  await fails(rig, ['nowhere'], { code: 'KILN_CONTEXT_NOT_FOUND', says: ['"nowhere" not found'] });
});

withDockerfile(
  'a frontend whose image cannot be fetched, with the line that names it',
  '# syntax=acme.invalid/custom:1\nFROM busybox\n',
  {
    code: 'KILN_REGISTRY_UNREACHABLE',
    says: ['Dockerfile:1', '>>> # syntax=acme.invalid/custom:1'],
  },
);
withDockerfile('an empty Dockerfile', '\n# nothing\n', { code: 'KILN_DOCKERFILE_EMPTY', says: [] });
withDockerfile('an unknown instruction, with the nearest known one', 'FROM busybox\nRUM echo\n', {
  code: 'KILN_DOCKERFILE_UNKNOWN_INSTRUCTION',
  says: ['Dockerfile:2', /unknown instruction: RUM/, /RUN/],
});
withDockerfile(
  'an unknown flag',
  'FROM busybox\nCOPY --chwon=1 a /\n',
  { code: 'KILN_DOCKERFILE_UNKNOWN_FLAG', says: ['Dockerfile:2', '--chown'] },
  { a: '' },
);
withDockerfile('a syntax error shows the place and the excerpt', 'FROM busybox\nENV\nRUN true\n', {
  code: 'KILN_DOCKERFILE_',
  says: ['Dockerfile:2', '>>> ENV'],
});
withDockerfile(
  'a missing COPY source, with a near miss',
  'FROM busybox\nCOPY packge.json /\n',
  { code: 'KILN_COPY_SOURCE_MISSING', says: ['packge.json', 'package.json', 'Dockerfile:2'] },
  { 'package.json': '' },
);
withDockerfile(
  'a COPY source that .dockerignore excludes, with the line',
  'FROM busybox\nCOPY a.log /\n',
  { code: 'KILN_COPY_SOURCE_MISSING', says: ['a.log', /\.dockerignore/, /line 2/] },
  { 'a.log': '', '.dockerignore': 'x\n*.log\n' },
);
withDockerfile(
  'an unknown target stage, with a near miss',
  'FROM busybox AS builder\n',
  { code: 'KILN_', says: ['target stage', 'builder'] },
  {},
  ['--target', 'bulider'],
);
withDockerfile(
  'a failing step names itself, its line, the exit code and the end of its output',
  'FROM busybox\nRUN echo before\nRUN echo last words; exit 7\n',
  {
    code: 'KILN_STEP_FAILED',
    says: ['Dockerfile:3', '>>> RUN echo last words; exit 7', 'exit code: 7', 'last words'],
  },
);
withDockerfile('a command that is not there', 'FROM busybox\nRUN nosuchprogram\n', {
  code: 'KILN_STEP_FAILED',
  says: ['exit code: 127', 'nosuchprogram'],
});
withDockerfile('an unknown user', 'FROM busybox\nUSER nobodyknows\nRUN true\n', {
  code: 'KILN_USER_UNKNOWN',
  says: ['nobodyknows'],
});
withDockerfile('a circular stage', 'FROM b AS a\nFROM a AS b\nCOPY --from=b /x /\n', {
  code: 'KILN_',
  says: [],
});

test('a base image that is in no store and no registry', async () => {
  await using rig = await Rig.create('busybox');
  const server = createServer((request, response) => {
    response
      .writeHead(request.url === '/v2/' ? 200 : 404, { 'content-type': 'application/json' })
      .end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address() as AddressInfo;
  rig.write('c', { Dockerfile: `FROM busybox\nFROM 127.0.0.1:${port}/no/such:image\n` });
  await fails(rig, ['c'], {
    code: 'KILN_IMAGE_NOT_FOUND',
    says: [`127.0.0.1:${port}/no/such:image`, 'Dockerfile:2'],
  });
  server.close();
});

test('a registry that refuses the connection', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM 127.0.0.1:1/x\n' });
  await fails(rig, ['c'], { code: 'KILN_REGISTRY_UNREACHABLE', says: ['127.0.0.1:1'] });
});

test('a registry that sends wrong bytes', async () => {
  await using rig = await Rig.create('busybox');
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [`sha256:${'1'.repeat(64)}`] },
    config: {},
  });
  const digest = (text: string) =>
    `sha256:${execFileSync('sha256sum', { input: text, encoding: 'utf8' }).slice(0, 64)}`;
  const media = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: media,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digest(config),
      size: config.length,
    },
    layers: [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        digest: `sha256:${'2'.repeat(64)}`,
        size: 11,
      },
    ],
  });
  const server = createServer((request, response) => {
    if (request.url?.includes('/manifests/'))
      response
        .writeHead(200, { 'content-type': media, 'docker-content-digest': digest(manifest) })
        .end(request.method === 'HEAD' ? undefined : manifest);
    else if (request.url?.includes(digest(config))) response.end(config);
    else response.end(request.url === '/v2/' ? '' : 'wrong bytes');
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address() as AddressInfo;
  rig.write('c', { Dockerfile: `FROM 127.0.0.1:${port}/liar\nRUN true\n` });
  await fails(rig, ['c'], { code: 'KILN_DIGEST_MISMATCH', says: ['sha256:2222'] });
  server.close();
});

test('a full disk', async () => {
  await using rig = await Rig.create();
  const small = rig.path('small');
  mkdirSync(small);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small]);
  try {
    const store = join(small, 'store');
    const env = { KILN_ROOT: store };
    const { testImage } = await import('./rig.ts');
    await rig.kiln(['load', '--quiet', '--input', testImage('busybox')], { env, expect: 0 });
    rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo ok > /ok\nCOPY big /big\n' });
    writeFileSync(rig.path('c/big'), Buffer.alloc(40 << 20, 'x'));
    const ran = await rig.kiln(['build', '--progress=plain', 'c'], { env });
    assert.is(ran.code, 1, ran.stderr);
    assert.match(ran.stderr, 'KILN_DISK_FULL');
    rig.write('d', { Dockerfile: 'FROM busybox\nRUN echo ok > /ok\n' });
    const after = await rig.kiln(['build', '--progress=plain', '-t', 'x', 'd'], { env, expect: 0 });
    assert.match(after.stderr, 'CACHED');
  } finally {
    execFileSync('umount', ['-l', small]);
  }
});

test('standard output on a full disk, or with a reader that goes away', async () => {
  const full = await run(['sh', '-c', `'${KILN}' --help >/dev/full`]);
  assert.is(full.code, 1, full.stderr);
  assert.match(
    full.stderr,
    /cannot be written: no space left on the device \[KILN_OUTPUT_UNWRITABLE\]\nhint: free space/,
  );
  const gone = await run(['bash', '-o', 'pipefail', '-c', `'${KILN}' --help | true`]);
  assert.is(gone.stderr, '');
});

test('a store of a newer version is not changed', async () => {
  await using rig = await Rig.create('busybox');
  writeFileSync(join(rig.store, 'VERSION'), '999\n');
  rig.write('c', { Dockerfile: 'FROM busybox\n' });
  const ran = await rig.kiln(['build', 'c']);
  assert.is(ran.code, 1);
  assert.match(ran.stderr, 'KILN_STORE_NEWER');
});

test('an ordinary user is told what is missing', async () => {
  await using rig = await Rig.create();
  // A copy that every user can read, because this checkout may be in a directory of root.
  cpSync(join(ROOT, 'dist'), rig.path('bin/dist'), { recursive: true });
  cpSync(process.execPath, rig.path('bin/node'));
  execFileSync('chmod', ['-R', 'a+rX', rig.directory]);
  // Kiln looks for unshare outside PATH, too, so the program itself is hidden.
  const hidden = 'mount --bind /dev/null "$(readlink -f "$(command -v unshare)")" && exec "$@"';
  const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const kiln = [rig.path('bin/node'), rig.path('bin/dist/kiln.cjs')];
  const ran = await run(
    ['unshare', '--mount', 'sh', '-c', hidden, 'sh', ...user, ...kiln, 'images'],
    {
      cwd: '/',
      env: { KILN_ROOT: '', HOME: '/' },
    },
  );
  assert.is(ran.code, 1, ran.stderr);
  assert.match(ran.stderr, 'KILN_NEEDS_ROOT');
  assert.match(ran.stderr, 'unshare');
});

test('the error for a wrong flag or command suggests the right one', async () => {
  await using rig = await Rig.create();
  for (const [args, says] of [
    [['biuld', '.'], "did you mean 'kiln build'?"],
    [['build', '--tga', 'x', '.'], '--tag'],
    [['build', '--output', 'type=oic', '.'], 'did you mean type=oci?'],
    [['build', '--progress=loud', '.'], 'plain'],
    [['build', '--platform', 'linux/pdp11/x/y/z', '.'], 'linux/pdp11'],
    [['build', '-t', 'Upper/Case', '.'], 'Upper/Case'],
    [['build', '--secret', 'id=x,src=/nowhere/x', '.'], '/nowhere/x'],
  ] as const) {
    const ran = await rig.kiln(args);
    assert.is(ran.code, 2, `${args.join(' ')}: ${ran.stderr}`);
    assert.match(ran.stderr, says);
  }
});

test.run();
