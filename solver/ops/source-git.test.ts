import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { failure } from '../../base/testing/failure.ts';
import { never } from '../../registry/testing/client.ts';
import type { BuildResult } from '../result.ts';
import { stepSession } from '../step-session.ts';
import { copyingSnapshotter, listTree } from './file/testing.ts';
import { remoteOf } from './git/git-source.ts';
import {
  COMMIT_TIME,
  close,
  type GitServer,
  listen,
  Repositories,
  serveGit,
} from './git/testing.ts';
import { sourceGitOp } from './source-git.ts';

const TIME = String(COMMIT_TIME);

/** A store that several builds use. */
class Store implements Disposable {
  readonly directory: string;
  readonly snapshotter = copyingSnapshotter();
  secrets: Record<string, string> = {};
  env: Record<string, string> = { PATH: process.env['PATH'] ?? '' };

  constructor(name = 'kiln-git-store-') {
    this.directory = mkdtempSync(join(tmpdir(), name));
  }

  /** The op of a new build. */
  op(url: string, fragment = '', attrs: Record<string, string> = {}) {
    const git = { directory: join(this.directory, 'git'), env: this.env, knownHosts: [] };
    const named = {
      'git.authtokensecret': 'GIT_AUTH_TOKEN',
      'git.authheadersecret': 'GIT_AUTH_HEADER',
    };
    const identifier = `git://${url.replace(/^[a-z]+:\/\//, '')}${fragment}`;
    const world = { snapshotter: this.snapshotter, git };
    return sourceGitOp({ identifier, attrs: { 'git.fullurl': url, ...named, ...attrs } }, world);
  }

  /** The context that a new build passes to its ops. */
  context() {
    const secret = async (id: string) =>
      this.secrets[id] === undefined ? undefined : Buffer.from(this.secrets[id]);
    const session = stepSession({ secret });
    return {
      signal: never(),
      progress: () => {},
      vertex: digestOf('v'),
      started: () => {},
      session,
    };
  }

  async key(url: string, fragment = '', attrs: Record<string, string> = {}): Promise<string> {
    return JSON.stringify(
      (await this.op(url, fragment, attrs).cacheMap(never(), this.context())).parts,
    );
  }

  /** The tree as lines. */
  async run(url: string, fragment = '', attrs: Record<string, string> = {}): Promise<string[]> {
    return listTree(this.at(await this.result(url, fragment, attrs)), (path) => path === '.git');
  }

  async result(
    url: string,
    fragment = '',
    attrs: Record<string, string> = {},
  ): Promise<BuildResult> {
    return (await this.op(url, fragment, attrs).run([], this.context()))[0]!;
  }

  at(result: BuildResult): string {
    return result.kind === 'snapshot' ? this.snapshotter.at(result.snapshot) : '';
  }

  [Symbol.dispose](): void {
    this.snapshotter[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const paths = (lines: readonly string[]) => lines.map((line) => line.split(' ')[0]);

/** A repository `r` with a branch, both kinds of tags, and symlinks. */
function makeRepositories(): Repositories {
  const repositories = new Repositories();
  repositories.commit('r', { 'd/e/x': 'x', 'run.sh': '#!/bin/sh\n', a: 'first' });
  repositories.git('r', 'tag', 'light');
  repositories.git('r', 'tag', '--annotate', '--message', 'm', 'annotated');
  repositories.git('r', 'checkout', '--quiet', '-b', 'dev/one');
  repositories.commit('r', { a: 'dev' });
  repositories.git('r', 'checkout', '--quiet', 'main');
  symlinkSync('d', join(repositories.directory, 'r/link'));
  symlinkSync('/etc', join(repositories.directory, 'r/outside'));
  repositories.commit('r', { a: 'main' });
  repositories.publish('r');
  return repositories;
}

const plain = makeRepositories();
const commits = {
  first: plain.git('r', 'rev-parse', 'light^{commit}'),
  dev: plain.git('r', 'rev-parse', 'dev/one'),
  main: plain.git('r', 'rev-parse', 'main'),
};

/** A copy of the repositories, served by http. */
async function setting(options: { readonly login?: string } = {}, like = plain) {
  const stack = new AsyncDisposableStack();
  const repositories = stack.use(new Repositories(like));
  const server = stack.use(await serveGit(repositories.served, options));
  const store = stack.use(new Store());
  return {
    repositories,
    server,
    store,
    commits,
    url: `${server.url}/r.git`,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** The requests that transferred objects. */
const fetches = (server: GitServer) =>
  server.requests.filter((line) => line.startsWith('POST') && !line.includes('ls-refs'));

const git = suite('source-git');

git('a commit gives its files with modes, symlinks and the time of the commit', async () => {
  await using at = await setting();
  assert.equal(await at.store.run(at.url), [
    `a file 0644 0:0 ${TIME} "main"`,
    `d dir 0755 0:0 ${TIME}`,
    `d/e dir 0755 0:0 ${TIME}`,
    `d/e/x file 0644 0:0 ${TIME} "x"`,
    `link link 0:0 ${TIME} d`,
    `outside link 0:0 ${TIME} /etc`,
    `run.sh file 0755 0:0 ${TIME} "#!/bin/sh\\n"`,
  ]);
});

git('a branch, both kinds of tags and a commit are found', async () => {
  await using at = await setting();
  const { first, dev, main } = at.commits;
  const wanted = [
    ['', main],
    ['#main', main],
    ['#refs/heads/main', main],
    ['#dev/one', dev],
    ['#light', first],
    ['#annotated', first],
    ['#tags/annotated', first],
    [`#${first}`, first],
  ] as const;
  for (const [fragment, commit] of wanted) {
    assert.match(await at.store.key(at.url, fragment), commit, fragment);
    const text = commit === main ? 'main' : commit === dev ? 'dev' : 'first';
    assert.is(
      (await at.store.run(at.url, fragment))[0],
      `a file 0644 0:0 ${TIME} "${text}"`,
      fragment,
    );
  }
});

git('the key of a full commit id needs no network', async () => {
  using store = new Store();
  const commit = '0123456789'.repeat(4);
  assert.match(await store.key('http://127.0.0.1:1/r.git', `#${commit}`), commit);
});

git('a commit has the same key for all its names and remotes', async () => {
  await using at = await setting();
  at.repositories.git('.', 'clone', '--quiet', '--bare', 'r', 'served/copy.git');
  const key = await at.store.key(at.url, '#light');
  assert.is(await at.store.key(at.url, '#annotated'), key);
  assert.is(await at.store.key(`${at.server.url}/copy.git`, `#${at.commits.first}`), key);
  assert.is.not(await at.store.key(at.url, '#light:d'), key);
  assert.is.not(await at.store.key(at.url, '#light', { 'git.keepgitdir': 'true' }), key);
  assert.is.not(await at.store.key(at.url, '#light', { 'git.skipsubmodules': 'true' }), key);
});

git('a commit that was fetched is not fetched again', async () => {
  await using at = await setting();
  await at.store.run(at.url);
  const before = fetches(at.server).length;
  await at.store.run(at.url, `#${at.commits.main}`);
  await at.store.run(at.url, `#${at.commits.main}:d`);
  assert.is(fetches(at.server).length, before);
});

git('a branch that has moved gives another commit', async () => {
  await using at = await setting();
  const before = await at.store.key(at.url, '#main');
  await at.store.run(at.url, '#main');
  const moved = at.repositories.commit('r', { a: 'moved' });
  at.repositories.publish('r');
  const after = await at.store.key(at.url, '#main');
  assert.is.not(after, before);
  assert.match(after, moved);
  assert.is((await at.store.run(at.url, '#main'))[0], `a file 0644 0:0 ${TIME} "moved"`);
});

git('a branch is preferred to a tag of the same name', async () => {
  await using at = await setting();
  at.repositories.git('r', 'tag', 'main', at.commits.first);
  at.repositories.publish('r');
  assert.match(await at.store.key(at.url, '#main'), at.commits.main);
  assert.match(await at.store.key(at.url, '#refs/tags/main'), at.commits.first);
});

/** Serves the files of the repositories as they are. */
function serveFiles(repositories: Repositories) {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://x');
    const file = join(repositories.served, decodeURIComponent(pathname));
    if (existsSync(file) && !file.endsWith('/')) response.end(readFileSync(file));
    else response.writeHead(404).end();
  });
}

git('single commits can be read from a server of plain files', async () => {
  await using at = await setting();
  const files = serveFiles(at.repositories);
  const url = `${await listen(files)}/r.git`;
  try {
    assert.is(
      (await at.store.run(url, `#${at.commits.first}`))[0],
      `a file 0644 0:0 ${TIME} "first"`,
    );
    const error = await failure(at.store.run(url, `#${'0'.repeat(39)}1`));
    assert.is(error.code, 'KILN_GIT_REF');
  } finally {
    await close(files);
  }
});

git('an annotated tag that moves during a build stays, and the next build sees it', async () => {
  await using at = await setting();
  const { repositories, store } = at;
  const bare = 'served/r.git';
  repositories.git(bare, 'tag', '-a', 'moving', '-m', 'x', at.commits.first);
  repositories.git(bare, 'update-server-info');
  const files = serveFiles(repositories);
  const url = `${await listen(files)}/r.git`;
  try {
    const context = store.context();
    const op = store.op(url, '#moving');
    const before = JSON.stringify((await op.cacheMap(never(), context)).parts);
    repositories.git(bare, 'tag', '-f', 'moving', 'main');
    repositories.git(bare, 'update-server-info');
    const [result] = await op.run([], context);
    assert.is(listTree(store.at(result!), () => false)[0], `a file 0644 0:0 ${TIME} "first"`);
    assert.is(before, await store.key(url, `#${at.commits.first}`));
    assert.is(await store.key(url, '#moving'), await store.key(url, `#${at.commits.main}`));
  } finally {
    await close(files);
  }
});

git('a directory of the repository becomes the top of the tree', async () => {
  await using at = await setting();
  assert.equal(await at.store.run(at.url, '#main:d'), [
    `e dir 0755 0:0 ${TIME}`,
    `e/x file 0644 0:0 ${TIME} "x"`,
  ]);
  assert.equal(await at.store.run(at.url, '#main:/d/./e/'), [`x file 0644 0:0 ${TIME} "x"`]);
});

const SUBDIRS: readonly (readonly [string, RegExp])[] = [
  ['link', /"link" .* has a symlink in its path/],
  ['link/e', /"link\/e" .* does not exist|lies behind, a symlink/],
  ['outside', /symlink/],
  ['a', /is not a directory/],
  ['nope', /does not exist/],
  ['../../etc', /"etc" .* does not exist/],
  ['d/../../outside', /symlink/],
];
for (const [subdir, words] of SUBDIRS)
  git(`#main:${subdir} is refused`, async () => {
    await using at = await setting();
    const error = await failure(at.store.run(at.url, `#main:${subdir}`));
    assert.is(error.code, 'KILN_GIT_SUBDIR');
    assert.match(error.message, words);
  });

const REFS = [
  '--upload-pack=touch /tmp/x',
  '-x',
  'a..b',
  'a b',
  'main^',
  'main~1',
  '@{1}',
  'a*',
  '.a',
  'a.lock',
  'a/',
];
for (const ref of REFS)
  git(`the ref ${ref} is refused before git runs`, async () => {
    using store = new Store();
    assert.throws(
      () => store.op('http://127.0.0.1:1/r.git', `#${ref}`),
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_GIT_REF',
    );
  });

const URLS = [
  'ext::sh -c x',
  'file:/etc/x y',
  'ssh://-oProxyCommand=x/r',
  'ssh://-l@host/r',
  '--upload-pack=x',
  'fd::3',
  'http://[::1/r.git',
];
for (const url of URLS)
  git(`the remote ${url} is refused`, async () => {
    using store = new Store();
    assert.throws(
      () => store.op(url),
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_GIT_URL',
    );
  });

git('a password is passed on to http only, because the others take none from a URL', () => {
  for (const [url, remote] of [
    ['ssh://user:pw@host/r.git', 'ssh://user@host/r.git'],
    ['ssh://git@host/r.git', 'ssh://git@host/r.git'],
    ['git://user:pw@host/r.git', 'git://host/r.git'],
    ['git://token@host:1/r.git', 'git://host:1/r.git'],
    ['git@host:r.git', 'git@host:r.git'],
  ] as const)
    assert.equal(remoteOf(url), { remote, told: remote, login: undefined });
  assert.is(remoteOf('https://user:pw@host/r.git').remote, 'https://host/r.git');
  assert.is(remoteOf('https://user:pw@host/r.git').told, 'https://xxxxx:xxxxx@host/r.git');
  assert.is(remoteOf('https://token@host/r.git').told, 'https://xxxxx@host/r.git');
});

git('a missing ref and a missing repository are different errors', async () => {
  await using at = await setting();
  assert.is((await failure(at.store.key(at.url, '#nope'))).code, 'KILN_GIT_REF');
  assert.match(
    (await failure(at.store.key(at.url, `#${at.commits.main.slice(0, 8)}`))).hint ?? '',
    /all its 40 digits/,
  );
  assert.is((await failure(at.store.key(`${at.server.url}/none.git`))).code, 'KILN_GIT_REPOSITORY');
  assert.is((await failure(at.store.key('http://127.0.0.1:1/r.git'))).code, 'KILN_GIT_UNREACHABLE');
});

git('a repository without a commit has no default branch', async () => {
  await using at = await setting();
  mkdirSync(join(at.repositories.served, 'empty.git'));
  at.repositories.git('served/empty.git', 'init', '--quiet', '--bare');
  assert.is((await failure(at.store.key(`${at.server.url}/empty.git`))).code, 'KILN_GIT_REF');
});

git('a missing git program is an error that says so', async () => {
  using store = new Store();
  store.env = { PATH: '/nonexistent' };
  const error = await failure(store.key('http://127.0.0.1:1/r.git'));
  assert.is(error.code, 'KILN_TOOL_MISSING');
  assert.match(error.hint ?? '', /install git/);
});

git('a checksum is the beginning of the id of the commit or tag', async () => {
  await using at = await setting();
  const tag = at.repositories.git('r', 'rev-parse', 'annotated');
  for (const checksum of [at.commits.first.slice(0, 7), tag.slice(0, 7).toUpperCase()])
    assert.match(
      await at.store.key(at.url, '#annotated', { 'git.checksum': checksum }),
      at.commits.first,
    );
  for (const checksum of [at.commits.first, tag])
    await at.store.run(at.url, '#annotated', { 'git.checksum': checksum });
  const error = await failure(
    at.store.run(at.url, '#annotated', { 'git.checksum': at.commits.main }),
  );
  assert.is(error.code, 'KILN_GIT_CHECKSUM');
  assert.match(error.message, new RegExp(`${at.commits.first}.*expected ${at.commits.main}`));
});

git('a commit without a ref is itself what is wanted', async () => {
  await using at = await setting();
  const { first, main } = at.commits;
  const found = (checksum: string) => at.store.key(at.url, '', { 'git.checksum': checksum });
  assert.match(await found(first), first);
  assert.match(await found(main.slice(0, 7)), main);
  const digits = first.slice(0, 8);
  const error = await failure(found(digits));
  assert.match(error.message, new RegExp(`^the default branch of .*expected ${digits}$`));
});

/**
 * `r` has `sub` at `modules/sub`, and `sub` has `inner` at `deep`. Their URLs are relative, as most
 * are.
 */
function makeSubmodules(): Repositories {
  const repositories = new Repositories(plain);
  const add = (into: string, name: string, path: string, url: string) => {
    repositories.git(into, 'submodule', '--quiet', 'add', join(repositories.directory, name), path);
    repositories.git(into, 'config', '--file', '.gitmodules', `submodule.${path}.url`, url);
  };
  repositories.commit('inner', { i: 'inner' });
  repositories.commit('sub', { 's/t': 'sub' });
  add('sub', 'inner', 'deep', '../inner.git');
  repositories.commit('sub', {});
  add('r', 'sub', 'modules/sub', '../sub.git');
  repositories.commit('r', {});
  for (const name of ['inner', 'sub', 'r']) repositories.publish(name);
  return repositories;
}

const nested = makeSubmodules();
const withSubmodules = () => setting({}, nested);

git('a commit by its id needs no look-up of the ref beside it', async () => {
  using store = new Store();
  const { first } = commits;
  const attrs = { 'git.checksum': first, 'git.fetchbycommit': 'true' };
  const nowhere = 'http://127.0.0.1:1/r.git';
  const key = await store.key(nowhere, `#${first}`);
  assert.is(await store.key(nowhere, '#main', attrs), key);
  // Files that are known by the id of their commit need none either.
  assert.is(await store.key(nowhere, '#main', { 'git.checksum': first }), key);
});

git('what is asked of a repository and not done is refused', () => {
  using store = new Store();
  for (const attrs of [
    { 'git.sig.pubkey': 'ssh-ed25519 AAAA' },
    { 'git.sig.requiresignedtag': 'true' },
    { 'git.bundle': `docker-image+blob://example.com/b@sha256:${'0'.repeat(64)}` },
    { 'git.checkoutbundle': 'true' },
  ] as Record<string, string>[])
    assert.throws(
      () => store.op('http://127.0.0.1:1/r.git', '', attrs),
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_SOURCE_UNSUPPORTED',
    );
  store.op('http://127.0.0.1:1/r.git', '', {
    'git.checkoutbundle': 'false',
    'git.mtime': 'commit',
  });
});

git('submodules are checked out with their own submodules and without .git', async () => {
  await using at = await withSubmodules();
  const tree = paths(await at.store.run(at.url));
  const below = tree.filter((path) => path?.startsWith('modules'));
  const all = [
    'modules',
    'modules/sub',
    'modules/sub/.gitmodules',
    'modules/sub/deep',
    'modules/sub/deep/i',
    'modules/sub/s',
    'modules/sub/s/t',
  ];
  assert.equal(below, all);
});

git('if submodules are skipped, their directories are empty', async () => {
  await using at = await withSubmodules();
  const tree = paths(await at.store.run(at.url, '', { 'git.skipsubmodules': 'true' }));
  assert.equal(
    tree.filter((path) => path?.startsWith('modules')),
    ['modules', 'modules/sub'],
  );
});

git('a directory of a submodule can be read, and other submodules are not fetched', async () => {
  await using at = await withSubmodules();
  assert.equal(paths(await at.store.run(at.url, '#main:modules/sub/s')), ['t']);
  assert.is(
    at.server.requests.some((line) => line.includes('/inner.git')),
    false,
  );
  assert.equal(paths(await at.store.run(at.url, '#main:d')), ['e', 'e/x']);
});

git('a submodule on the disk of the builder is refused', async () => {
  await using at = await withSubmodules();
  for (const url of [
    `file://${at.repositories.served}/sub.git`,
    join(at.repositories.served, 'sub.git'),
    'ext::sh -c "touch x"',
  ]) {
    at.repositories.git('r', 'config', '--file', '.gitmodules', 'submodule.modules/sub.url', url);
    at.repositories.commit('r', { a: url });
    at.repositories.publish('r');
    assert.is((await failure(at.store.run(at.url))).code, 'KILN_GIT_URL', url);
  }
});

git('a submodule on the disk of the builder is refused with keepGitDir too', async () => {
  await using at = await withSubmodules();
  at.repositories.git(
    'r',
    'config',
    '--file',
    '.gitmodules',
    'submodule.modules/sub.url',
    `file://${at.repositories.served}/sub.git`,
  );
  at.repositories.commit('r', {});
  at.repositories.publish('r');
  const error = await failure(at.store.run(at.url, '', { 'git.keepgitdir': 'true' }));
  assert.is(error.code, 'KILN_GIT_URL');
});

git('a repository with files in Git LFS gives a warning', async () => {
  await using at = await setting();
  at.repositories.commit('r', {
    '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
    'a.bin': 'version https://git-lfs',
  });
  at.repositories.publish('r');
  const told: string[] = [];
  const progress: ProgressSink = (event) =>
    void (event.kind === 'warning' && told.push(event.short));
  await at.store.op(at.url, '', {}).run([], { signal: never(), progress, vertex: digestOf('v') });
  assert.match(told.join(), /r\.git keeps files in Git LFS/);
});

git('the error for a submodule without a URL names the submodule', async () => {
  await using at = await withSubmodules();
  writeFileSync(join(at.repositories.directory, 'r/.gitmodules'), '');
  at.repositories.commit('r', {});
  at.repositories.publish('r');
  const error = await failure(at.store.run(at.url));
  assert.is(error.code, 'KILN_GIT_SUBMODULE');
  assert.match(error.message, /modules\/sub/);
});

git('a token is sent to its repository and not to submodules elsewhere', async () => {
  const login = `basic ${Buffer.from('x-access-token:s3cret').toString('base64')}`;
  await using at = await setting({ login });
  await using other = await serveGit(at.repositories.served);
  at.repositories.commit('sub', { s: 's' });
  at.repositories.publish('sub');
  at.repositories.git(
    'r',
    'submodule',
    '--quiet',
    'add',
    join(at.repositories.directory, 'sub'),
    'm',
  );
  at.repositories.git(
    'r',
    'config',
    '--file',
    '.gitmodules',
    'submodule.m.url',
    `${other.url}/sub.git`,
  );
  at.repositories.commit('r', {});
  at.repositories.publish('r');
  at.store.secrets = { GIT_AUTH_TOKEN: 's3cret\n' };
  assert.ok(paths(await at.store.run(at.url)).includes('m/s'));
  assert.ok(paths(await at.store.run(at.url, '', { 'git.keepgitdir': 'true' })).includes('m/s'));
  assert.ok(at.server.requests.some((line) => line.toLowerCase().includes(login.toLowerCase())));
  assert.is(
    other.requests.some((line) => /basic/i.test(line)),
    false,
  );
});

git('a secret named after the host is preferred to the general one', async () => {
  await using at = await setting({ login: 'Bearer mine' });
  at.store.secrets = {
    GIT_AUTH_TOKEN: 'no',
    [`GIT_AUTH_HEADER.${new URL(at.url).host}`]: 'Bearer mine',
  };
  assert.match(await at.store.key(at.url), at.commits.main);
});

git('a private repository without a login is an error that says so', async () => {
  await using at = await setting({ login: 'basic eDp5' });
  assert.is((await failure(at.store.key(at.url))).code, 'KILN_GIT_DENIED');
  at.store.secrets = { GIT_AUTH_TOKEN: 'wrong' };
  assert.is((await failure(at.store.key(at.url))).code, 'KILN_GIT_DENIED');
});

git('a login is not in the arguments of git, in the key or on disk', async () => {
  const login = `basic ${Buffer.from('user:s3cret').toString('base64')}`;
  await using at = await setting({ login });
  const bin = join(at.store.directory, 'bin');
  const log = join(at.store.directory, 'arguments');
  mkdirSync(bin);
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  writeFileSync(join(bin, 'git'), `#!/bin/sh\nprintf '%s\\n' "$@" >>${log}\nexec ${real} "$@"\n`);
  chmodSync(join(bin, 'git'), 0o755);
  at.store.env = { PATH: `${bin}:${process.env['PATH']}` };
  const url = at.url.replace('http://', 'http://user:s3cret@');
  assert.not.match(await at.store.key(url, '', { 'git.keepgitdir': 'true' }), /s3cret/);
  const result = await at.store.result(url, '', { 'git.keepgitdir': 'true' });
  assert.match(readFileSync(log, 'utf8'), /ls-remote/);
  for (const place of [at.store.directory, at.store.at(result)])
    assert.is(
      execFileSync('sh', ['-c', `grep -rlE 's3cret|${login.slice(6)}' ${place} || true`], {
        encoding: 'utf8',
      }),
      '',
    );
});

git('with keepGitDir the tree is a clean clone that git accepts', async () => {
  await using at = await withSubmodules();
  const directory = at.store.at(
    await at.store.result(at.url, '#main', { 'git.keepgitdir': 'true' }),
  );
  const inClone = (...args: string[]) =>
    execFileSync('git', ['-c', 'safe.directory=*', ...args], {
      cwd: directory,
      encoding: 'utf8',
    }).trim();
  assert.is(inClone('status', '--porcelain'), '');
  assert.is(inClone('rev-parse', 'HEAD'), at.repositories.git('r', 'rev-parse', 'main'));
  assert.is(inClone('for-each-ref', '--format=%(refname)'), 'refs/heads/main');
  assert.is(inClone('remote', 'get-url', 'origin'), at.url);
  assert.is(inClone('rev-list', '--count', 'HEAD'), '1');
  assert.is(readFileSync(join(directory, 'modules/sub/s/t'), 'utf8'), 'sub');
  assert.equal(readdirSync(join(directory, '.git')).sort(), [
    'HEAD',
    'config',
    'index',
    'modules',
    'objects',
    'refs',
    'shallow',
  ]);
});

git('keepGitDir keeps the name of a tag, and works with a commit id', async () => {
  await using at = await setting();
  const refs = async (fragment: string) => {
    const directory = at.store.at(
      await at.store.result(at.url, fragment, { 'git.keepgitdir': 'true' }),
    );
    return execFileSync('git', ['-c', 'safe.directory=*', 'for-each-ref', '--format=%(refname)'], {
      cwd: directory,
      encoding: 'utf8',
    }).trim();
  };
  assert.is(await refs('#annotated'), 'refs/tags/annotated');
  assert.is(await refs(`#${at.commits.first}`), '');
});

git('two stores get the same bytes for a commit, .git included', async () => {
  await using at = await setting();
  using other = new Store();
  const list = async (store: Store) =>
    listTree(store.at(await store.result(at.url, '#annotated', { 'git.keepgitdir': 'true' })));
  assert.equal(await list(other), await list(at.store));
});

git('a directory of the repository has no .git, even with keepGitDir', async () => {
  await using at = await setting();
  assert.equal(
    await at.store.run(at.url, '#main:d', { 'git.keepgitdir': 'true' }),
    await at.store.run(at.url, '#main:d'),
  );
});

git('hooks and filters of a repository do not run', async () => {
  await using at = await setting();
  const canary = join(at.store.directory, 'canary');
  at.repositories.commit('r', {
    '.gitattributes': '* filter=evil\n',
    '.gitconfig': `[filter "evil"]\nsmudge = touch ${canary}\n`,
  });
  at.repositories.publish('r');
  await at.store.run(at.url);
  await at.store.run(at.url, '', { 'git.keepgitdir': 'true' });
  assert.not.ok(existsSync(canary));
});

git('an empty commit gives an empty tree', async () => {
  await using at = await setting();
  at.repositories.commit('none', {});
  at.repositories.publish('none');
  assert.equal(await at.store.run(`${at.server.url}/none.git`), []);
});

git('after an interrupted fetch the commit is fetched again', async () => {
  await using at = await setting();
  await at.store.run(at.url, '#light');
  const directory = join(at.store.directory, 'git');
  const mirror = join(directory, readdirSync(directory).find((name) => !name.includes('.'))!);
  // As after git was killed: its lock files exist and the ready mark does not.
  writeFileSync(join(mirror, 'shallow.lock'), '');
  writeFileSync(join(mirror, 'kiln-index.lock'), '');
  rmSync(join(mirror, 'refs/kiln', at.commits.first));
  writeFileSync(join(mirror, 'refs/kiln', `${at.commits.first}.lock`), '');
  rmSync(join(mirror, 'kiln-ready'));
  assert.is((await at.store.run(at.url, '#light')).length > 0, true);
});

git('file names that are not UTF-8 are kept', async () => {
  await using at = await setting();
  const name = Buffer.from('caf\xe9', 'latin1');
  writeFileSync(Buffer.concat([Buffer.from(`${at.repositories.directory}/r/`), name]), 'x');
  at.repositories.commit('r', {});
  at.repositories.publish('r');
  const directory = at.store.at(await at.store.result(at.url));
  assert.ok(readdirSync(directory, 'buffer').some((one) => one.equals(name)));
});

git('the path of the store may contain characters that are special in URLs', async () => {
  await using at = await setting();
  using store = new Store('kiln git %41#?');
  assert.is(
    (await store.run(at.url, '#main', { 'git.keepgitdir': 'true' }))[0],
    `a file 0644 0:0 ${TIME} "main"`,
  );
});

git('a cancelled fetch ends git and rejects', async () => {
  const silent = createServer(() => cancel.abort());
  const cancel = new AbortController();
  const url = `${await listen(silent)}/r.git`;
  using store = new Store();
  try {
    const error = await failure(Promise.resolve(store.op(url).cacheMap(cancel.signal)));
    assert.is(error.code, 'KILN_CANCELLED');
  } finally {
    await close(silent);
  }
});

git.after(() => {
  plain[Symbol.dispose]();
  nested[Symbol.dispose]();
});
git.run();
