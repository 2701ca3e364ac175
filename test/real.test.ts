import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, run, steps } from './rig.ts';
import { SshSetting, whyNoSsh } from './sshd.ts';

/** The certificates of this host, which RUN steps that fetch need. */
const CA = '/etc/ssl/certs/ca-certificates.crt';

test('a C program is compiled in a Debian stage and copied into scratch', async () => {
  await using rig = await Rig.create('debian');
  rig.write('c', {
    Dockerfile: `
FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /src
COPY hello.c .
RUN gcc -static -Os -o hello hello.c
FROM scratch
COPY --from=build /src/hello /hello
ENTRYPOINT ["/hello"]
CMD ["world"]
`,
    'hello.c':
      '#include <stdio.h>\n' +
      'int main(int argc, char **argv) { printf("hello %s\\n", argv[1]); return 0; }\n',
  });
  const cold = await rig.build(
    'c',
    '-t',
    'hello',
    '--output',
    'type=image',
    '--output',
    'type=oci,dest=hello.tar',
  );
  assert.ok(
    [...steps(cold).values()].every((end) => end === 'DONE'),
    cold,
  );
  assert.is((await rig.kiln(['run', 'hello'], { expect: 0 })).stdout, 'hello world\n');
  assert.is((await rig.kiln(['run', 'hello', 'again'], { expect: 0 })).stdout, 'hello again\n');
  const warm = await rig.build('c', '-t', 'hello');
  assert.equal(new Set(steps(warm).values()), new Set(['CACHED']));
  rig.write('c', {
    'hello.c': '#include <stdio.h>\nint main(void) { puts("edited"); return 0; }\n',
  });
  const edited = steps(await rig.build('c', '-t', 'hello'));
  assert.is([...edited].find(([name]) => name.includes('apt-get'))?.[1], 'CACHED');
  assert.is([...edited].find(([name]) => name.includes('gcc -static'))?.[1], 'DONE');
  assert.is((await rig.kiln(['run', 'hello'], { expect: 0 })).stdout, 'edited\n');
  await run(
    [
      'skopeo',
      'copy',
      '--quiet',
      `oci-archive:${rig.path('hello.tar')}`,
      `oci:${rig.path('layout')}:x`,
    ],
    { expect: 0 },
  );
  await run(['umoci', 'unpack', '--image', `${rig.path('layout')}:x`, rig.path('bundle')], {
    expect: 0,
  });
  assert.is(readFileSync(rig.path('bundle/rootfs/hello')).subarray(1, 4).toString(), 'ELF');
});

test('a Node application gets its packages from a lock file', async () => {
  await using rig = await Rig.create('node');
  rig.write('app', {
    Dockerfile: `
# syntax=docker/dockerfile:1
FROM node:24 AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm --mount=type=secret,id=ca,target=/run/ca.pem \
NODE_EXTRA_CA_CERTS=/run/ca.pem npm ci --no-audit --no-fund
FROM node:24
WORKDIR /app
ENV NODE_ENV=production
COPY --from=packages /app/node_modules ./node_modules
COPY . .
USER 1000
CMD ["node", "main.js"]
`,
    '.dockerignore': 'node_modules\n',
    'package.json': '{"name":"app","version":"1.0.0","dependencies":{"is-number":"7.0.0"}}\n',
    'package-lock.json': `${JSON.stringify({
      name: 'app',
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { name: 'app', version: '1.0.0', dependencies: { 'is-number': '7.0.0' } },
        'node_modules/is-number': {
          version: '7.0.0',
          integrity:
            'sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+' +
            'pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng==',
        },
      },
    })}\n`,
    'main.js': 'console.log("is a number:", require("is-number")("5"), process.getuid());\n',
  });
  await rig.build('app', '-t', 'app', '--secret', `id=ca,src=${CA}`, '--network', 'host');
  assert.is((await rig.kiln(['run', 'app'], { expect: 0 })).stdout, 'is a number: true 1000\n');
  rig.write('app', { 'main.js': 'console.log("edited", require("is-number")("5"));\n' });
  const edited = steps(
    await rig.build('app', '-t', 'app', '--secret', `id=ca,src=${CA}`, '--network', 'host'),
  );
  assert.is([...edited].find(([name]) => name.includes('npm ci'))?.[1], 'CACHED');
  assert.is((await rig.kiln(['run', 'app'], { expect: 0 })).stdout, 'edited true\n');
});

const noSsh = whyNoSsh();
if (noSsh !== undefined) console.log(`SKIP git clone by ssh in a Debian stage: ${noSsh}`);
else
  test('git clone by ssh in a Debian stage, by an ordinary user with a key from disk', async () => {
    await using rig = await Rig.create('debian');
    await using ssh = await SshSetting.start(rig.path('ssh'));
    const key = ssh.key('key', 'ed25519');
    ssh.authorize(key);
    const url = ssh.repository('file', 'cloned');
    rig.write('c', {
      Dockerfile: `
FROM debian:12
RUN apt-get update && apt-get install -y --no-install-recommends git openssh-client
RUN useradd --create-home app
USER app
WORKDIR /home/app
RUN mkdir -m 700 ~/.ssh && echo "${ssh.knownHosts.trim()}" > ~/.ssh/known_hosts
RUN --mount=type=ssh git clone ${url} r
`,
    });
    await rig.build('c', '-t', 'cloned', '--network', 'host', '--ssh', `default=${key}`);
    assert.is((await rig.kiln(['run', 'cloned', 'cat', 'r/file'], { expect: 0 })).stdout, 'cloned');
  });

test.run();
