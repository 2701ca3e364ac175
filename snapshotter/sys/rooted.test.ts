import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from '../../base/errors.ts';
import { umask } from './calls.ts';
import { O, S } from './constants.ts';
import { openRoot, type Root } from './rooted.ts';
import { startSwapper } from './swapper.fixture.ts';

interface Context {
  top: string;
  tree: string;
  canary: string;
  root: Root;
}

const test = suite<Context>('paths in a hostile tree');

test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-rooted-'));
  context.tree = join(context.top, 'tree');
  context.canary = join(context.top, 'canary');
  mkdirSync(context.tree);
  mkdirSync(context.canary);
  writeFileSync(join(context.canary, 'f'), 'outside');
  context.root = openRoot(context.tree);
});

test.after.each((context) => {
  context.root[Symbol.dispose]();
  rmSync(context.top, { recursive: true });
});

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    return errnoOf(error) ?? String(error);
  }
  return undefined;
}

const MAX = { max: 1000 };

test('`..` and absolute symlinks stop at the root', ({ root, tree, canary }) => {
  mkdirSync(join(tree, 'd'));
  writeFileSync(join(tree, 'f'), 'inside');
  symlinkSync('/f', join(tree, 'd/absolute'));
  symlinkSync('../../../../f', join(tree, 'd/upwards'));
  symlinkSync(canary, join(tree, 'out'));
  for (const path of ['../../f', '/f', 'd/../../f', 'd/absolute', 'd/upwards', '//d//./absolute']) {
    assert.is(root.readFile(path, MAX)?.toString(), 'inside', path);
  }
  assert.is(root.readFile('out/f', MAX), undefined);
  assert.is(root.stat('out'), undefined);
});

test('links that go through /proc never leave the root', ({ root, tree }) => {
  symlinkSync('/proc/self/cwd', join(tree, 'cwd'));
  symlinkSync('/proc/self/root', join(tree, 'slash'));
  assert.is(root.stat('cwd/'), undefined);
  // Magic links are refused even with /proc inside the root.
  using slash = openRoot('/');
  assert.is(
    codeOf(() => slash.open('proc/self/cwd', O.PATH)),
    'ELOOP',
  );
  assert.is(
    codeOf(() => slash.stat('proc/self/root/etc')),
    'ELOOP',
  );
});

test('an endless chain of links is an error', ({ root, tree }) => {
  symlinkSync('b', join(tree, 'a'));
  symlinkSync('a', join(tree, 'b'));
  assert.is(
    codeOf(() => root.stat('a')),
    'ELOOP',
  );
  assert.is(
    codeOf(() => root.resolve('a')),
    'ELOOP',
  );
  assert.is(
    codeOf(() => root.mkdirAll('a/x', 0o755)),
    'ELOOP',
  );
  assert.is(root.readlink('a'), 'b');
});

test('a final symlink is followed only when asked to', ({ root, tree }) => {
  writeFileSync(join(tree, 'f'), 'inside');
  symlinkSync('f', join(tree, 'l'));
  assert.is(root.stat('l')!.mode & S.IFMT, S.IFREG);
  assert.is(root.stat('l', { follow: false })!.mode & S.IFMT, S.IFLNK);
  assert.is(
    codeOf(() => root.readFile('l', { ...MAX, follow: false })),
    'EINVAL',
  );
  assert.is(
    codeOf(() => root.open('l', O.RDONLY, { noLinks: true })),
    'ELOOP',
  );
});

test('only regular files below the limit are read, and nothing blocks', ({ root, tree }) => {
  execFileSync('mkfifo', [join(tree, 'fifo')]);
  execFileSync('mknod', [join(tree, 'zero'), 'c', '1', '5']);
  execFileSync('truncate', ['-s', '1G', join(tree, 'sparse')]);
  symlinkSync('/zero', join(tree, 'link'));
  for (const path of ['fifo', 'zero', 'link', '/'])
    assert.is(
      codeOf(() => root.readFile(path, MAX)),
      'EINVAL',
      path,
    );
  assert.is(
    codeOf(() => root.readFile('sparse', MAX)),
    'EFBIG',
  );
  writeFileSync(join(tree, 'full'), Buffer.alloc(1000));
  assert.is(root.readFile('full', MAX)!.length, 1000);
  assert.is(root.readFile('missing', MAX), undefined);
  assert.is(root.readFile('full/below', MAX), undefined);
});

test('a new file is never made through a symlink', ({ root, tree, canary }) => {
  symlinkSync(join(canary, 'new'), join(tree, 'l'));
  symlinkSync(canary, join(tree, 'd'));
  assert.is(
    codeOf(() => root.create('l', 0o644)),
    'EEXIST',
  );
  assert.is(
    codeOf(() => root.create('d/new', 0o644)),
    'ENOENT',
  );
  assert.is(
    codeOf(() => root.create('..', 0o644)),
    'EINVAL',
  );
  const fd = root.create('plain', 0o640);
  writeSync(fd, 'x');
  closeSync(fd);
  assert.is(readFileSync(join(tree, 'plain'), 'utf8'), 'x');
  assert.not(existsSync(join(canary, 'new')));
});

test('directories are made inside the root with exactly the mode, even through dangling links', ({
  root,
  tree,
  canary,
}) => {
  symlinkSync('/var/data', join(tree, 'dangling'));
  symlinkSync(canary, join(tree, 'out'));
  const made: string[] = [];
  const old = umask(0o077);
  try {
    assert.is(
      root.mkdirAll('dangling/deep', 0o755, ({ path }) => made.push(path)),
      'var/data/deep',
    );
    root.mkdirAll('out/x', 0o1777);
  } finally {
    umask(old);
  }
  assert.equal(made, ['var', 'var/data', 'var/data/deep']);
  assert.is(statSync(join(tree, 'var/data')).mode & 0o7777, 0o755);
  assert.not(existsSync(join(canary, 'x')));
  assert.is(statSync(join(tree, canary.slice(1), 'x')).mode & 0o7777, 0o1777);
  writeFileSync(join(tree, 'file'), '');
  assert.is(
    codeOf(() => root.mkdirAll('file/x', 0o755)),
    'ENOTDIR',
  );
});

test('removing follows no link and keeps the root', ({ root, tree, canary }) => {
  mkdirSync(join(tree, 'a/b'), { recursive: true });
  symlinkSync(canary, join(tree, 'a/b/out'));
  symlinkSync(canary, join(tree, 'out'));
  linkSync(join(canary, 'f'), join(tree, 'a/hard'));
  assert.ok(root.remove('out'));
  assert.ok(root.remove('a'));
  assert.not(root.remove('a'));
  assert.not(root.remove('nothing/here'));
  for (const path of ['..', 'x/..'])
    assert.is(
      codeOf(() => root.remove(path)),
      'EINVAL',
    );
  writeFileSync(join(tree, 'rest'), '');
  root.remove('/');
  assert.equal(root.readdir('/'), []);
  assert.is(readFileSync(join(canary, 'f'), 'utf8'), 'outside');
});

test('a hard link is made to the link, not to what it points at', ({ root, tree, canary }) => {
  symlinkSync(join(canary, 'f'), join(tree, 'l'));
  root.link('l', 'second');
  assert.is(readlinkSync(join(tree, 'second')), join(canary, 'f'));
  assert.is(lstatSync(join(canary, 'f')).nlink, 1);
});

test('names that are not UTF-8 and names with a NUL', ({ root, tree }) => {
  execFileSync('sh', ['-c', 'printf x > "$(printf \'\\377\\302\\344ok\')"'], { cwd: tree });
  const [name] = root.readdir('/');
  assert.is(root.readFile(name!, MAX)?.toString(), 'x');
  assert.ok(root.remove(name!));
  assert.throws(() => root.stat('a\0/../../etc'), /NUL/);
});

const ROUNDS = process.env['KILN_SOAK'] ? 200_000 : 400;

test('while another process swaps a directory for a symlink, no call ever acts outside', async ({
  root,
  tree,
  canary,
}) => {
  mkdirSync(join(tree, 'd'));
  writeFileSync(join(tree, 'd/f'), 'inside');
  symlinkSync(canary, join(tree, 's'));
  await using _ = await startSwapper(join(tree, 'd'), join(tree, 's'));
  let seen = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const read = root.readFile('d/f', MAX)?.toString();
    if (read !== undefined) {
      assert.is(read, 'inside');
      seen++;
    }
    codeOf(() => closeSync(root.create(`d/new${round}`, 0o600)));
    codeOf(() => root.mkdirAll(`d/dir${round}`, 0o700));
    codeOf(() => root.remove(`d/dir${round}`));
    codeOf(() => root.remove(`d/new${round}`));
  }
  assert.ok(seen > 0 && seen < ROUNDS, `the race never happened: ${seen} of ${ROUNDS}`);
  assert.is(execFileSync('ls', [canary], { encoding: 'utf8' }), 'f\n');
});

test.run();
