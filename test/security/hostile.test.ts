import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, run } from '../rig.ts';

/*
 * Dockerfiles and images that escaped from the sandbox of other builders (docs/security.md lists
 * them). Each test has a file on the host that must not be seen or changed.
 */

const root = process.getuid?.() === 0;
const real = (name: string, body: () => Promise<void>) => {
  if (!root) console.log(`SKIP ${name}: needs root`);
  else test(name, body);
};

/** Makes a rig and a directory of the host that no build may see or change. */
async function withCanary(): Promise<Rig & { readonly canary: string; intact(): void }> {
  const rig = await Rig.create('busybox');
  const canary = rig.path('canary');
  mkdirSync(`${canary}/sub`, { recursive: true });
  writeFileSync(`${canary}/token`, 'of the host');
  const portrait = () => {
    const { uid, gid, mode, mtimeMs } = statSync(canary);
    return JSON.stringify([
      uid,
      gid,
      mode,
      mtimeMs,
      readdirSync(canary, { recursive: true }),
      readFileSync(`${canary}/token`, 'utf8'),
    ]);
  };
  const before = portrait();
  return Object.assign(rig, { canary, intact: () => assert.is(portrait(), before) });
}

/** The output of the steps. */
const printed = (plain: string) =>
  [...plain.matchAll(/^#\d+ [\d.]+ (.*)$/gm)].map((match) => match[1]);

real(
  'CVE-2024-1753: a bind source that is a link in another image leads into that image',
  async () => {
    await using rig = await withCanary();
    const evil = `FROM busybox AS evil
RUN mkdir /in && echo inside >/in/token && ln -s / /top && ln -s ../../../../.. /up && \
ln -s ${rig.canary} /out && ln -s /proc/self/root /magic
`;
    const mounts = ['type=bind', 'type=bind,rw', 'type=cache,id=x'];
    const step = (source: string, mount: string) =>
      `${evil}FROM busybox\n` +
      `RUN --mount=${mount},from=evil,source=${source},target=/m echo ${source} && ls /m && ` +
      'cat /m/in/token; touch /m/new; true\n';
    const attempt = async (source: string, mount: string) => {
      rig.write('c', { Dockerfile: step(source, mount) });
      return await rig.kiln(['build', '--progress=plain', 'c']);
    };
    for (const mount of mounts) {
      const { stderr } = await attempt('/up/top', mount);
      assert.ok(printed(stderr).includes('inside') && printed(stderr).includes('magic'), stderr);
      assert.not.ok(printed(stderr).includes('canary'), mount);
      for (const source of ['/out', `/up${rig.canary}/sub`, '/magic']) {
        const { code, stderr } = await attempt(source, mount);
        assert.is(code, 1, `${mount} ${source}`);
        assert.match(
          stderr,
          /KILN_MOUNT_SOURCE_MISSING|KILN_COPY_SOURCE_MISSING/,
          `${mount} ${source}: ${stderr}`,
        );
      }
    }
    rig.intact();
  },
);

real(
  'CVE-2021-30465: mount targets, working directories and owners by links stay in the image',
  async () => {
    await using rig = await withCanary();
    rig.write('c', {
      x: 'x',
      Dockerfile: `FROM busybox
RUN ln -s ${rig.canary} /out && ln -s ../../../../../../..${rig.canary} /up && \
ln -s /proc/1/root${rig.canary} /magic
RUN --mount=type=tmpfs,target=/out/sub --mount=type=tmpfs,target=/up/made touch /out/sub/written \
/up/made/written /out/left
RUN --mount=type=bind,target=/out/bound,rw touch /out/bound/written
RUN --mount=type=cache,target=/up/token touch /up/token/written
USER 1234:1234
WORKDIR /out/made
WORKDIR /up/made2
COPY --chown=1234 x /out/
ADD x /up/sub/
RUN ls ${rig.canary}; pwd
`,
    });
    const lines = printed(await rig.build('c'));
    assert.equal(lines, ['left', 'made', 'made2', 'sub', 'x', `${rig.canary}/made2`]);
    rig.intact();
    rig.write('c', {
      Dockerfile: `FROM busybox\nRUN ln -s /proc/1/root /magic\nWORKDIR /magic${rig.canary}/made\n`,
    });
    await rig.kiln(['build', 'c']);
    rig.intact();
  },
);

real('CVE-2024-21626: WORKDIR and kiln run -w by links stop before the runtime', async () => {
  await using rig = await withCanary();
  const evil =
    'FROM busybox AS evil\n' +
    'RUN ln -s /proc/self/fd/8 /l && ln -s /dev/fd /d && mkdir /in && ln -s ../l /in/up\n';
  for (const lines of [
    ...[3, 4, 8].map((fd) => `WORKDIR /dev/fd/${fd}\nRUN pwd`),
    'WORKDIR /x/l\nRUN --mount=from=evil,target=/x pwd',
    'RUN ln -s /dev/stdin /made\nWORKDIR /made\nRUN pwd',
    'RUN --mount=type=cache,target=/c ln -sf /proc/1/root /c/l\n' +
      'WORKDIR /c/l\n' +
      'RUN --mount=type=cache,target=/c pwd',
    'RUN ln -s /proc/thread-self /made\nWORKDIR /made/cwd\nRUN --mount=type=tmpfs,target=/t pwd',
  ]) {
    rig.write('c', { Dockerfile: `${evil}FROM busybox\n${lines}\n` });
    const { code, stderr } = await rig.kiln(['build', '--progress=plain', 'c']);
    assert.is(code, 1, lines);
    assert.match(stderr, /^ERROR: .*\[KILN_CWD\]$/m, lines);
  }
  rig.write('c', { Dockerfile: evil });
  await rig.build('c', '-t', 'evil');
  for (const directory of ['/l', '/d/3', '/in/up', '/dev/fd/5', '/proc/self']) {
    const { code, stderr } = await rig.kiln(['run', '-w', directory, 'evil', 'pwd']);
    assert.is.not(code, 0, directory);
    assert.match(stderr, /KILN_CWD/, directory);
  }
});

real('CVE-2024-9675: the ID of a cache is never used as a path', async () => {
  await using rig = await withCanary();
  const ids = [
    `../../../../../..${rig.canary}`,
    rig.canary,
    '..',
    '.',
    '/',
    'a/../../../canary',
    '%2e%2e%2f',
    '-rf',
    '0'.repeat(64),
  ];
  const runs = ids.map(
    (id) => `RUN --mount=type=cache,id=${id},target=/c test -z "$(ls /c)" && touch /c/written`,
  );
  rig.write('c', { Dockerfile: ['FROM busybox', ...runs, ''].join('\n') });
  await rig.build('c');
  const names = readdirSync(`${rig.store}/caches`);
  assert.is(names.length, ids.length);
  for (const name of names) assert.match(name, /^[0-9a-f]{64}$/);
  rig.intact();
});

real(
  'CVE-2024-9407: mount options are a closed list, and a value cannot add another option',
  async () => {
    await using rig = await withCanary();
    const refused = [
      'type=bind,target=/m,bind-propagation=rshared',
      'type=bind,target=/m,Z',
      'type=tmpfs,target=/m,tmpfs-mode=1777',
      'type=tmpfs,target=/m,size=1m\\,exec',
      '\\"type=tmpfs,target=/m,size=1m,suid\\"',
      'type=bind,target=/m,rw=perhaps',
      'type=devpts,target=/m',
      'type=bind,target=/m,from=busybox,from-host',
    ];
    for (const mount of refused) {
      rig.write('c', { Dockerfile: `FROM busybox\nRUN --mount=${mount} echo ran\n` });
      const { code, stderr } = await rig.kiln(['build', '--progress=plain', 'c']);
      assert.is(code, 1, mount);
      assert.match(stderr, /Dockerfile:2/, mount);
      assert.not.match(stderr, /\d ran$/m, mount);
    }
    // A name that looks like mount options is still a name.
    rig.write('c', {
      Dockerfile:
        'FROM busybox\n' +
        `RUN --mount=type=tmpfs,\\"target=/m,suid,size=9\\" grep -c ' /m,suid,size=9 tmpfs ` +
        "rw,' /proc/mounts\n",
    });
    assert.equal(printed(await rig.build('c')), ['1']);
    rig.intact();
  },
);

real('CVE-2025-52881: mounts over /proc, /sys and /dev reach no file of the kernel', async () => {
  await using rig = await withCanary();
  const probe =
    'echo x >/proc/sys/kernel/domainname; mkdir /sys/fs/cgroup/memory/kiln-canary; cat /proc/keys';
  for (const target of [
    '/proc/sys',
    '/proc/sys/kernel',
    '/sys',
    '/sys/fs',
    '/dev',
    '/proc/self/attr',
    '/proc/keys',
  ]) {
    rig.write('c', {
      Dockerfile: `FROM busybox\nRUN --mount=type=tmpfs,target=${target} ${probe}; true\n`,
    });
    await rig.kiln(['build', '--progress=plain', 'c']);
    assert.not.match(readFileSync('/proc/sys/kernel/domainname', 'utf8'), /^x$/m, target);
    assert.not.ok(existsSync('/sys/fs/cgroup/memory/kiln-canary'), target);
  }
});

real('a stage goes before an image with the same name', async () => {
  await using rig = await withCanary();
  rig.write('c', {
    Dockerfile: `FROM busybox AS own
RUN echo stage >/which
FROM busybox
COPY --from=own /which /
RUN --mount=type=bind,from=own,target=/m cat /which /m/which
`,
  });
  // An image with the name of the stage, which must not be used.
  rig.write('i', { Dockerfile: 'FROM busybox\nRUN echo image >/which\n' });
  await rig.kiln(['build', '-q', '-t', 'own', 'i'], { expect: 0 });
  assert.equal(printed(await rig.build('c')), ['stage', 'stage']);
});

real(
  'CVE-2024-24557: a record that no step made is never used, and an image is not a step',
  async () => {
    await using rig = await withCanary();
    const dockerfile = (word: string) => `FROM busybox
ENV A=same
RUN echo same >/f
HEALTHCHECK --interval=7s CMD ${word}
ONBUILD RUN echo ${word} >/trigger
ENTRYPOINT ["${word}"]
STOPSIGNAL ${word === 'good' ? 'SIGTERM' : 'SIGINT'}
LABEL l=${word}
EXPOSE ${word === 'good' ? 1 : 2}
VOLUME /${word}
`;
    for (const word of ['good', 'evil']) {
      rig.write('c', { Dockerfile: dockerfile(word) });
      rig.write('d', { Dockerfile: `FROM base:${word}\n` });
      await rig.kiln(['build', '-q', '-t', `base:${word}`, 'c'], { expect: 0 });
      const { stdout } = await rig.kiln(['inspect', `base:${word}`], { expect: 0 });
      const other = word === 'good' ? /evil/ : /good|SIGTERM/;
      assert.match(stdout, new RegExp(word));
      assert.not.match(stdout, other);
      await rig.kiln(['build', '-q', '--output', word, 'd'], { expect: 0 });
      assert.is(readFileSync(rig.path(word, 'trigger'), 'utf8'), `${word}\n`);
    }
    // An image whose config claims the result of a step is not used for that step.
    rig.write('f', { Dockerfile: 'FROM scratch\nCOPY f /f\n', f: 'foreign' });
    await rig.kiln(['build', '-q', '-t', 'foreign', 'f'], { expect: 0 });
    await rig.kiln(['save', '-o', 'foreign.tar', 'foreign'], { expect: 0 });
    const env = { KILN_ROOT: rig.path('other') };
    await rig.kiln(['load', '-q', '-i', 'foreign.tar'], { expect: 0, env });
    rig.write('f', { f: 'own' });
    const { stderr } = await rig.kiln(['build', '--progress=plain', '--output', 'out', 'f'], {
      expect: 0,
      env,
    });
    assert.not.match(stderr, /CACHED/);
    assert.is(readFileSync(rig.path('out/f'), 'utf8'), 'own');
  },
);

real(
  'CVE-2023-26054: a login in the URL of an ADD is in no layer, history, record or log',
  async () => {
    await using rig = await withCanary();
    const login = 'canary-user:canary-p4ss';
    const asked: (string | undefined)[] = [];
    await using server = await serve(asked);
    const url = server.url.replace('http://', `http://${login}@`);
    rig.write('c', { Dockerfile: `FROM scratch\nARG WHERE\nADD \${WHERE}/f /\nADD ${url}/g /\n` });
    const { stdout, stderr } = await rig.kiln(
      [
        ...[
          'build',
          '--progress=rawjson',
          '--provenance=mode=max',
          '--metadata-file',
          'out/metadata',
          `--build-arg=WHERE=${url}`,
        ],
        ...[
          '--cache-to',
          'type=local,mode=max,dest=out/cache',
          '--output',
          'type=oci,dest=out/image,tar=false',
          'c',
        ],
      ],
      { expect: 0, cwd: rig.write('.', { 'out/about': '' }) },
    );
    assert.ok(
      asked.includes(`Basic ${Buffer.from(login).toString('base64')}`),
      'the server was told',
    );
    for (const place of [rig.store, rig.path('out')])
      assert.is((await run(['grep', '-rl', 'canary-p4ss', place])).stdout, '', place);
    assert.not.match(stdout + stderr, /canary-p4ss/);
  },
);

async function serve(
  asked: (string | undefined)[],
): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    asked.push(request.headers.authorization);
    response.end('file');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

test.run();
