import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LANGUAGE } from '../frontend/syntax.ts';
import { close, listen, Repositories, serveGit } from '../solver/ops/git/testing.ts';
import { Rig, run, steps } from './rig.ts';

/* ADD from URLs and repositories, and remote contexts, with the real binary and local servers. */

/** Makes the repositories that were used for add-remote.golden. */
function repositories(): Repositories {
  const made = new Repositories();
  made.commit('sub', { 's.txt': 's\n' });
  made.commit('r', {
    Dockerfile: 'FROM scratch\nCOPY . /\n',
    '.dockerignore': 'ignored.txt\n',
    'ignored.txt': 'i\n',
    'd/e/x': 'x\n',
    'run.sh': '#!/bin/sh\n',
  });
  symlinkSync('d', join(made.directory, 'r/link'));
  symlinkSync('/etc', join(made.directory, 'r/abs'));
  made.git('r', 'submodule', '--quiet', 'add', join(made.directory, 'sub'), 'modsub');
  made.git('r', 'config', '--file', '.gitmodules', 'submodule.modsub.url', '../sub.git');
  made.commit('r', {});
  for (const name of ['sub', 'r']) made.publish(name);
  return made;
}

interface Files extends AsyncDisposable {
  readonly url: string;
  readonly requests: string[];
}

/** Serves `files` by path, with an ETag of their content. */
async function serveFiles(files: Readonly<Record<string, string | Buffer>>): Promise<Files> {
  const requests: string[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    requests.push(`${request.url} ${request.headers['if-none-match'] ?? ''}`.trim());
    const content = files[new URL(request.url ?? '', 'http://x').pathname];
    if (content === undefined) return void response.writeHead(404).end();
    const etag = `"${Buffer.from(content).toString('base64url').slice(0, 40)}${content.length}"`;
    response.setHeader('etag', etag);
    if (request.url !== '/nolm')
      response.setHeader('last-modified', 'Wed, 01 Jan 2020 00:00:00 GMT');
    if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.end(content);
  });
  return { url: await listen(server), requests, [Symbol.asyncDispose]: () => close(server) };
}

/** The files of a result, each as `MODE OWNER SIZE TIME PATH`. The time is `-` for today. */
async function tree(rig: Rig, context: string, ...args: string[]): Promise<string[]> {
  const { stdoutBytes } = await rig.kiln(
    ['build', '-q', '--output=type=tar,dest=-', ...args, context],
    { expect: 0 },
  );
  writeFileSync(rig.path('out.tar'), stdoutBytes);
  const list = execFileSync('tar', ['tvf', rig.path('out.tar'), '--full-time', '--utc'], {
    encoding: 'utf8',
  });
  return list
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [mode = '', owner, size, day = '', time = '', ...path] = line.split(/ +/);
      const shown = Number(day.slice(0, 4)) > 2020 ? '-' : `${day} ${time}`;
      return [mode, owner, /^[dl]/.test(mode) ? '0' : size, shown, ...path].join(' ');
    });
}

const paths = (lines: readonly string[]) =>
  lines.map((line) => line.replace(/^\S+ \S+ \S+ (- |\S+ \S+ )/, ''));

function archive(
  rig: Rig,
  name: string,
  flag: string,
  directory: string,
  ...members: string[]
): Buffer {
  execFileSync('tar', [`c${flag}f`, rig.path(name), '-C', directory, ...members]);
  return readFileSync(rig.path(name));
}

test('ADD of files and repositories gives the tree that Docker 28 gives', async () => {
  await using rig = await Rig.create();
  using made = repositories();
  await using git = await serveGit(made.served);
  const tgz = archive(
    rig,
    'c.tgz',
    'z',
    join(made.directory, 'r'),
    'Dockerfile',
    '.dockerignore',
    'ignored.txt',
    'd',
  );
  await using files = await serveFiles({ '/a.txt': 'hello\n', '/nolm': 'nolm\n', '/c.tgz': tgz });
  const context = rig.write('c', {
    Dockerfile: `
FROM scratch
ADD ${git.url}/r.git /a/
ADD ${git.url}/r.git?ref=main&subdir=d&mtime=commit /sub/
ADD ${files.url}/a.txt /h/
ADD ${files.url}/nolm /h/
ADD --chmod=640 --chown=3:4 ${files.url}/a.txt /h/b
ADD ${files.url}/a.txt?cd=attachment;filename=zz.txt /h2/
ADD ${files.url}/c.tgz /tgz/
ADD --unpack ${files.url}/c.tgz /unp/
ADD --keep-git-dir=true ${git.url}/r.git#main /k/
`,
  });
  const ours = (await tree(rig, context)).filter((line) => !/ k\/\.git\/./.test(line));
  const docker = readFileSync(join(import.meta.dirname, 'golden/add-remote.golden'), 'utf8')
    .trim()
    .split('\n');
  // Kiln gives the files of a checkout the time of the commit, and Docker the present. The size of
  // an archive depends on gzip.
  const plain = (line: string) =>
    line
      .replace(/ 2010-01-02 03:04:05 /, ' - ')
      .replace(/^(\S+ \S+) \d+ (.* tgz\/c\.tgz)$/, '$1 N $2')
      .replace(/(unp\/.*)$/, '$1');
  // Docker's checkout has a file with a path of the builder's disk, which Kiln leaves out.
  const expected = docker.filter(
    (line) => !line.endsWith(' a/modsub/.git') && !/ k\/\.git\//.test(line),
  );
  assert.equal(
    ours
      .filter((line) => !/ k\/\.git\//.test(line))
      .map(plain)
      .sort(),
    expected.map(plain).sort(),
  );
});

test('ADD from a repository is cached until its branch moves, or forever by commit', async () => {
  await using rig = await Rig.create();
  using made = repositories();
  await using git = await serveGit(made.served);
  const commit = made.git('r', 'rev-parse', 'HEAD');
  rig.write('c', { Dockerfile: `FROM scratch\nADD ${git.url}/r.git#main /a\n` });
  rig.write('d', { Dockerfile: `FROM scratch\nADD ${git.url}/r.git#${commit} /a\n` });
  await rig.build('c');
  assert.equal(new Set(steps(await rig.build('c')).values()), new Set(['CACHED']));
  const before = git.requests.length;
  await rig.build('d');
  assert.is(git.requests.length, before);
  made.commit('r', { 'd/e/x': 'moved\n' });
  made.publish('r');
  assert.ok([...steps(await rig.build('c')).values()].includes('DONE'));
  assert.equal(new Set(steps(await rig.build('d')).values()), new Set(['CACHED']));
});

test('ADD from a URL asks whether the file has changed, unless it has a checksum', async () => {
  await using rig = await Rig.create();
  const content: Record<string, string> = { '/f': 'one\n' };
  await using files = await serveFiles(content);
  rig.write('c', { Dockerfile: `FROM scratch\nADD ${files.url}/f /\n` });
  const digest = 'sha256:2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806';
  rig.write('s', { Dockerfile: `FROM scratch\nADD --checksum=${digest} ${files.url}/f /\n` });
  await rig.build('c');
  assert.equal(new Set(steps(await rig.build('c')).values()), new Set(['CACHED']));
  assert.match(files.requests[1] ?? '', /^\/f "/);
  await rig.build('s');
  const before = files.requests.length;
  assert.equal(new Set(steps(await rig.build('s')).values()), new Set(['CACHED']));
  assert.is(files.requests.length, before);
  content['/f'] = 'two\n';
  assert.ok([...steps(await rig.build('c')).values()].includes('DONE'));
  const wrong = await rig.kiln(['build', '--no-cache', 's'], {
    env: { KILN_ROOT: rig.path('other') },
  });
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, /KILN_HTTP_CHECKSUM/);
  assert.match(wrong.stderr, /Dockerfile:2/);
});

test('a repository is a context: its Dockerfile, a directory, a file named with -f', async () => {
  await using rig = await Rig.create();
  using made = repositories();
  made.commit('r', {
    'd/Dockerfile': 'FROM scratch\nCOPY . /\n',
    'other.Dockerfile': 'FROM scratch\nCOPY d /\n',
  });
  made.publish('r');
  await using git = await serveGit(made.served);
  const url = `${git.url}/r.git`;
  const whole = paths(await tree(rig, url));
  assert.ok(whole.includes('modsub/s.txt') && whole.includes('d/e/x'));
  assert.ok(whole.includes('ignored.txt'));
  assert.equal(paths(await tree(rig, `${url}#main:d`)), ['Dockerfile', 'e/', 'e/x']);
  assert.equal(paths(await tree(rig, `${url}?branch=main&subdir=d`)), ['Dockerfile', 'e/', 'e/x']);
  assert.equal(paths(await tree(rig, url, '-f', 'other.Dockerfile')), ['Dockerfile', 'e/', 'e/x']);
  const kept = paths(await tree(rig, url, '--build-arg', 'BUILDKIT_CONTEXT_KEEP_GIT_DIR=1'));
  assert.ok(kept.includes('.git/HEAD') && kept.includes('d/e/x'));
  const fromStdin = await rig.kiln(['build', '-f', '-', '--output=type=local,dest=out', url], {
    stdin: 'FROM scratch\nCOPY run.sh /\n',
    expect: 0,
  });
  assert.match(fromStdin.stderr, /load git source/);
  assert.ok(existsSync(rig.path('out/run.sh')));
  assert.equal(new Set(steps(await rig.build(url)).values()), new Set(['CACHED']));
});

test('an archive by HTTP or on standard input is a context, in any compression', async () => {
  await using rig = await Rig.create();
  const source = rig.write('src', {
    Dockerfile: 'FROM scratch\nCOPY . /\n',
    '.dockerignore': 'no\n',
    no: '',
    'd/f': 'x',
  });
  const flags = { plain: '', gzip: 'z', bzip2: 'j', xz: 'J', zstd: '-zstd' };
  for (const [name, flag] of Object.entries(flags)) {
    const file = rig.path(`${name}.tar`);
    execFileSync('tar', [
      '--create',
      ...(flag === '' ? [] : [`-${flag}`]),
      '-f',
      file,
      '-C',
      source,
      '.',
    ]);
    const bytes = readFileSync(file);
    await using files = await serveFiles({ '/context': bytes });
    // As with Docker, a .dockerignore in the archive is not applied.
    const expected = ['.dockerignore', 'Dockerfile', 'd/', 'd/f', 'no'];
    assert.equal(paths(await tree(rig, `${files.url}/context`)), expected, `${name} by http`);
    const piped = await rig.kiln(['build', '--output=type=local,dest=out', '-'], {
      stdin: bytes,
      expect: 0,
    });
    assert.is(piped.code, 0, name);
    assert.ok(
      existsSync(rig.path('out/d/f')) && existsSync(rig.path('out/no')),
      `${name} on standard input`,
    );
    execFileSync('rm', ['-rf', rig.path('out')]);
  }
  // The oldest tar format has a checksum but no magic number.
  const old = rig.path('v7.tar');
  execFileSync('tar', ['--create', '--format=v7', '-f', old, '-C', source, 'Dockerfile', 'd']);
  await using files = await serveFiles({ '/old': readFileSync(old) });
  assert.equal(paths(await tree(rig, `${files.url}/old`)), ['Dockerfile', 'd/', 'd/f']);
});

test('provenance tells a git context with its ref, in both forms of the URL', async () => {
  await using rig = await Rig.create();
  using made = repositories();
  await using git = await serveGit(made.served);
  for (const [form, mode] of [
    ['?ref=main', 'min'],
    ['?branch=main&mtime=commit', 'max'],
    ['#main', 'min'],
  ] as const) {
    const out = ['-o', 'type=local,dest=out', `--provenance=mode=${mode}`];
    await rig.build(`${git.url}/r.git${form}`, ...out);
    const { predicate } = JSON.parse(readFileSync(rig.path('out/provenance.json'), 'utf8'));
    const { externalParameters, internalParameters } = predicate.buildDefinition;
    const ref = form.includes('branch') ? 'refs/heads/main' : 'main';
    assert.is(externalParameters.configSource.uri, `${git.url}/r.git#${ref}`);
    assert.match(externalParameters.configSource.digest.sha1, /^[0-9a-f]{40}$/);
    assert.is(internalParameters.dockerfileVersion, LANGUAGE);
  }
});

test('a Dockerfile at a URL is built, with or without a directory as the context', async () => {
  await using rig = await Rig.create();
  await using files = await serveFiles({ '/D': 'FROM scratch\nCOPY . /\n' });
  assert.equal(await tree(rig, `${files.url}/D`), [
    '-rw------- 0/0 22 2020-01-01 00:00:00 context',
  ]);
  const local = rig.write('c', { f: 'x' });
  assert.equal(paths(await tree(rig, local, '-f', `${files.url}/D`)), ['f']);
});

test('a Dockerfile may be outside the context or come from standard input', async () => {
  await using rig = await Rig.create();
  const context = rig.write('c', { f: 'x', no: '', '.dockerignore': 'no\n' });
  rig.write('elsewhere', { D: 'FROM scratch\nCOPY . /\n', 'D.dockerignore': 'f\n' });
  assert.equal(paths(await tree(rig, context, '-f', rig.path('elsewhere/D'))), [
    '.dockerignore',
    'no',
  ]);
  const piped = await rig.kiln(['build', '-f', '-', '--output=type=local,dest=out', context], {
    stdin: 'FROM scratch\nCOPY f /\n',
    expect: 0,
  });
  assert.is(piped.code, 0);
  assert.ok(existsSync(rig.path('out/f')));
});

test('a named context at a URL replaces a stage or an image, or is copied from', async () => {
  await using rig = await Rig.create();
  using made = repositories();
  await using git = await serveGit(made.served);
  await using files = await serveFiles({ '/f': 'file\n' });
  const context = rig.write('c', {
    Dockerfile: `
FROM scratch AS stage
COPY nothing /
FROM example.com/no/such:image AS image
FROM scratch
COPY --from=stage d/e/x /stage
COPY --from=image run.sh /image
COPY --from=file context /file
COPY --from=dir f /dir
`,
  });
  const directory = rig.write('dir', { f: 'dir\n' });
  const lines = await tree(
    rig,
    context,
    ...[
      `stage=${git.url}/r.git`,
      `example.com/no/such:image=${git.url}/r.git#main`,
      `file=${files.url}/f`,
      `dir=${directory}`,
    ].flatMap((value) => ['--build-context', value]),
  );
  assert.equal(paths(lines).sort(), ['dir', 'file', 'image', 'stage']);
});

test('an archive whose Dockerfile is a link to the host reveals nothing of the host', async () => {
  await using rig = await Rig.create();
  writeFileSync(rig.path('canary'), 'FROM secret-of-the-host\n');
  mkdirSync(rig.path('evil'));
  symlinkSync(rig.path('canary'), rig.path('evil/Dockerfile'));
  symlinkSync(rig.path('canary'), rig.path('evil/.dockerignore'));
  const bytes = archive(rig, 'evil.tar', '', rig.path('evil'), '.');
  await using files = await serveFiles({ '/evil.tar': bytes });
  for (const [context, stdin] of [
    [`${files.url}/evil.tar`, ''],
    ['-', bytes],
  ] as const) {
    const ran = await rig.kiln(['build', context], { stdin });
    assert.is(ran.code, 1);
    assert.match(ran.stderr, /KILN_DOCKERFILE_NOT_FOUND/);
    assert.not.match(ran.stderr, /secret-of-the-host/);
  }
});

test('two builds at once share what they fetch', async () => {
  await using rig = await Rig.create();
  using made = repositories();
  await using git = await serveGit(made.served);
  const contexts = ['/a', '/b'].map((to, i) =>
    rig.write(`c${i}`, { Dockerfile: `FROM scratch\nADD ${git.url}/r.git ${to}\n` }),
  );
  await rig.kiln(['images'], { expect: 0 });
  const built = await Promise.all(contexts.map((context) => rig.build(context)));
  for (const output of built) assert.match(output, /DONE/);
  assert.equal(paths(await tree(rig, contexts[0]!)).slice(0, 2), ['a/', 'a/.dockerignore']);
});

test('a login in the URL of a context is not in any output or log', async () => {
  await using rig = await Rig.create();
  using made = repositories();
  const login = `Basic ${Buffer.from('user:s3cret').toString('base64')}`;
  await using git = await serveGit(made.served, { login });
  const url = `${git.url}/r.git`.replace('http://', 'http://user:s3cret@');
  const ran = await rig.kiln(['build', '--progress=rawjson', url], { expect: 0 });
  assert.not.match(ran.stdout + ran.stderr, /s3cret/);
  const missing = await rig.kiln(['build', `${url}#nope`]);
  assert.match(missing.stderr, /KILN_GIT_REF/);
  assert.not.match(missing.stdout + missing.stderr, /s3cret/);
  const found = await run(['grep', '-rlE', `s3cret|${login.slice(6)}`, rig.store]);
  assert.is(found.stdout, '');
});

test('an error of a context at a URL has a hint', async () => {
  await using rig = await Rig.create();
  using made = repositories();
  await using git = await serveGit(made.served);
  const cases: readonly (readonly [string, RegExp, RegExp])[] = [
    [`${git.url}/r.git#nope`, /KILN_GIT_REF/, /ls-remote/],
    [`${git.url}/none.git`, /KILN_GIT_REPOSITORY/, /check the URL/],
    [`${git.url}/r.git#main:link`, /KILN_GIT_SUBDIR/, /name a directory/],
    [`${git.url}/r.git#main:d`, /KILN_DOCKERFILE_NOT_FOUND/, /#REF:DIRECTORY/],
    [`${git.url}/none`, /KILN_HTTP_STATUS/, /check the URL/],
    ['http://127.0.0.1:1/x.tar', /KILN_HTTP_UNREACHABLE/, /proxy settings/],
    ['git@127.0.0.1:r.git', /KILN_SSH_AGENT/, /ssh-add/],
    ['github.com/none/such', /KILN_GIT_UNREACHABLE/, /network/],
  ];
  for (const [context, code, hint] of cases) {
    const env = { SSH_AUTH_SOCK: '', https_proxy: 'http://127.0.0.1:1' };
    const { code: exit, stderr } = await rig.kiln(['build', context], { env });
    assert.is(exit, 1, context);
    assert.match(stderr, code, context);
    assert.match(stderr, hint, context);
  }
});

test.run();
