import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

/*
 * A login in a URL gets into a build in many ways. Only the step that gets the URL sees it, and
 * nothing else shows it.
 */

const root = process.getuid?.() === 0;
const real = (name: string, body: () => Promise<void>) => {
  if (!root) console.log(`SKIP ${name}: needs root`);
  else test(name, body);
};

/** A different password for each way into a build, so that a failure says which one leaked. */
const PASSWORD = {
  argument: 'planted1',
  fallback: 'planted2',
  variable: 'planted3',
  label: 'planted4',
  run: 'planted5',
  heredoc: 'planted6',
  file: 'planted7',
  exec: 'planted8',
  proxy: 'planted9',
};
const ANY = /planted\d/;
const url = (way: keyof typeof PASSWORD) => `https://user:${PASSWORD[way]}@example.invalid/x`;

const DOCKERFILE = `FROM busybox
ARG PURL
ARG FALLBACK=${url('fallback')}
RUN printf %s "$PURL" | md5sum >/sum && : ${'$'}{FALLBACK} ${url('run')}
ENV VARIABLE=${url('variable')}
LABEL label=${url('label')}
RUN <<EOF
: $VARIABLE ${url('heredoc')}
EOF
RUN ["true", "${url('exec')}"]
COPY <<EOF /file
${url('file')}
EOF
`;

/** All strings in a document, also those in base64. */
function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value, Buffer.from(value, 'base64').toString('latin1')];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(texts) : [];
}

function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true })
    .map((name) => `${directory}/${name}`)
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
}

/** Asserts that the store shows no login in its data about builds. Images are left out. */
function shownInStore(rig: Rig): void {
  const kept = readdirSync(rig.store).filter((name) =>
    /^kiln\.db|^logs$|^copies$|^statcache$|^tags$/.test(name),
  );
  assert.ok(kept.includes('logs') && kept.includes('kiln.db'));
  const files = kept.flatMap((name) =>
    statSync(`${rig.store}/${name}`).isFile()
      ? [`${rig.store}/${name}`]
      : filesOf(`${rig.store}/${name}`),
  );
  for (const path of files) assert.not.match(readFileSync(path, 'latin1'), ANY, path);
}

real(
  'a login in an argument, variable, label, heredoc or proxy is seen only by the step',
  async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', { Dockerfile: DOCKERFILE });
    const flags = [
      '--build-arg',
      `PURL=${url('argument')}`,
      '--build-arg',
      `https_proxy=${url('proxy')}`,
      '--explain',
    ];
    for (const progress of ['plain', 'rawjson', 'tty'])
      for (const more of [[], ['--no-cache']]) {
        const { stdout, stderr } = await rig.kiln(
          ['build', `--progress=${progress}`, ...flags, ...more, '-t', 'x', 'c'],
          {
            expect: 0,
          },
        );
        assert.not.match(stdout + stderr, ANY, progress);
      }
    const { stdout } = await rig.kiln([
      'run',
      'x',
      'sh',
      '-c',
      `printf %s '${url('argument')}' | md5sum | diff - /sum && cat /file`,
    ]);
    assert.is(stdout, `${url('file')}\n`);
    for (const command of [
      ['logs'],
      ['explain'],
      ['history', '--no-trunc', 'x'],
      ['du', '--verbose'],
      ['cache', 'ls'],
    ]) {
      const { stdout, stderr } = await rig.kiln(command);
      assert.not.match(stdout + stderr, ANY, command.join(' '));
    }
    // The image has the variables and labels that the Dockerfile gives it.
    const { stdout: config } = await rig.kiln(['inspect', 'x'], { expect: 0 });
    assert.match(config, url('variable'));
    assert.match(config, url('label'));
    shownInStore(rig);
  },
);

real(
  'provenance, metadata and printed graphs show no login, but the digests are the real ones',
  async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', { Dockerfile: DOCKERFILE });
    const argument = ['--build-arg', `PURL=${url('argument')}`];
    for (const version of ['v1', 'v0.2']) {
      const flags = [
        `--provenance=mode=max,version=${version}`,
        '--metadata-file',
        'metadata',
        '--output',
        'type=local,dest=out',
      ];
      await rig.kiln(['build', ...argument, ...flags, 'c'], { expect: 0 });
      const statement = JSON.parse(readFileSync(rig.path('out/provenance.json'), 'utf8'));
      const all = texts(statement);
      assert.ok(
        all.some((text) => text.includes('FROM busybox')),
        'the Dockerfile is in it',
      );
      assert.ok(all.some((text) => text.includes('https://xxxxx@example.invalid/x')));
      for (const text of all) assert.not.match(text, ANY);
      assert.not.match(readFileSync(rig.path('metadata'), 'utf8'), ANY);
    }
    const dump = async (...more: string[]) =>
      (await rig.kiln(['debug', 'dump-llb', ...argument, ...more, 'c'], { expect: 0 })).stdout;
    for (const text of texts(JSON.parse(await dump()))) assert.not.match(text, ANY);
    const binary = await rig.kiln(['debug', 'dump-llb', '--format=binary', ...argument, 'c'], {
      expect: 0,
    });
    assert.match(
      binary.stdoutBytes.toString('latin1'),
      PASSWORD.argument,
      'the graph itself is whole',
    );
    for (const call of [
      'outline',
      'outline,format=json',
      'check',
      'check,format=json',
      'targets,format=json',
    ]) {
      const { stdout, stderr } = await rig.kiln(['build', `--call=${call}`, ...argument, 'c']);
      assert.not.match(stdout + stderr, ANY, call);
      if (call.includes('json'))
        for (const text of texts(JSON.parse(stdout))) assert.not.match(text, ANY, call);
    }
  },
);

real(
  'a failure shows no login in its message, its excerpt and the command to debug it',
  async () => {
    await using rig = await Rig.create('busybox');
    const cases = [
      `ARG PURL\nRUN test "$PURL" = '${url('run')}'`,
      `RUN <<EOF\nfalse ${url('heredoc')}\nEOF`,
      `RUN ["false", "${url('exec')}"]`,
      `COPY ${url('file')} /`,
      `ARG PURL\nRUN : $PURL && false ${url('run')}`,
      `RUN --mount=type=secret,id=s,required true ${url('run')}`,
      `NONSENSE ${url('run')}`,
    ];
    for (const text of cases) {
      rig.write('c', { Dockerfile: `FROM busybox\n${text}\n` });
      for (const progress of ['plain', 'rawjson', 'quiet']) {
        const ran = await rig.kiln([
          'build',
          `--progress=${progress}`,
          '--build-arg',
          `PURL=${url('argument')}`,
          'c',
        ]);
        assert.is(ran.code, 1, text);
        assert.not.match(ran.stdout + ran.stderr, ANY, text);
      }
      shownInStore(rig);
    }
  },
);

real(
  'a changed login alone runs the step again, and the explanation names it without showing it',
  async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', {
      Dockerfile: 'FROM busybox\nRUN : https://user:planted0@example.invalid && echo ran\n',
    });
    await rig.build('c');
    assert.match(await rig.build('c'), /CACHED/);
    rig.write('c', {
      Dockerfile: 'FROM busybox\nRUN : https://user:planted1@example.invalid && echo ran\n',
    });
    const said = await rig.build('c', '--explain');
    assert.match(said, /^#\d+ [\d.]+ ran$/m);
    assert.match(said, /the login in one of its URLs changed/);
    assert.not.match(said, ANY);
  },
);

real(
  'a login in the URL of an ADD, a git repository, a context or a Dockerfile is not shown',
  async () => {
    await using rig = await Rig.create('busybox');
    const asked: string[] = [];
    using server = Object.assign(
      createServer((request, response) => {
        asked.push(
          `${request.url} ${Buffer.from(request.headers.authorization?.slice(6) ?? '', 'base64')}`,
        );
        if (request.url === '/D') response.end('FROM scratch\nCOPY . /\n');
        else if (request.url === '/file') response.end('bytes');
        else response.writeHead(404).end();
      }),
      { [Symbol.dispose]: () => void server.close() },
    );
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const at = `http://user:planted1@127.0.0.1:${(server.address() as AddressInfo).port}`;
    rig.write('c', { Dockerfile: `FROM scratch\nADD ${at}/file /\n` });
    rig.write('missing', { Dockerfile: `FROM scratch\nADD ${at}/nothing /\n` });
    rig.write('git', { Dockerfile: `FROM scratch\nADD ${at}/r.git /\n` });
    for (const [args, code] of [
      [['c'], 0],
      [['-f', `${at}/D`, 'c'], 0],
      [[`${at}/D`], 0],
      [['missing'], 1],
      [['git'], 1],
      [[`${at}/r.git`], 1],
      [['--build-context', `n=${at}/file`, 'c'], 0],
    ] as const) {
      const flags = ['--provenance=mode=max', '--output', 'type=local,dest=out', '--explain'];
      const ran = await rig.kiln(['build', '--progress=plain', ...flags, ...args]);
      assert.is(ran.code, code, `${args}: ${ran.stderr}`);
      assert.not.match(ran.stdout + ran.stderr, ANY, args.join(' '));
      if (code === 0)
        for (const text of texts(JSON.parse(readFileSync(rig.path('out/provenance.json'), 'utf8'))))
          assert.not.match(text, ANY);
    }
    assert.ok(asked.includes('/file user:planted1'), 'the server got it');
    shownInStore(rig);
  },
);

test.run();
