import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import type { WarningEvent } from '../../base/progress.ts';
import type { FoundFile } from '../../frontend/gateway.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import { type DockerfilePlace, ignoreOf } from './ignore-file.ts';
import { readInRoot, readInTree, readNamed } from './tree-file.ts';

const test = suite('files of a tree');
let directory: string;
let tree: string;

test.before.each(() => {
  directory = mkdtempSync(join(tmpdir(), 'kiln-tree-'));
  tree = join(directory, 'tree');
  mkdirSync(join(tree, 'sub'), { recursive: true });
  writeFileSync(join(directory, 'outside'), 'of the host');
  writeFileSync(join(tree, 'file'), 'text');
});
test.after.each(() => rmSync(directory, { recursive: true, force: true }));

const at = (path: string) => join(tree, path);
const link = (target: string, path: string) => symlinkSync(target, at(path));
const contentOf = (found: FoundFile) => (found.kind === 'file' ? found.bytes.toString() : found);

/** Reads with both functions, and asserts that they agree. */
function read(path: string, max = 100): unknown {
  const found = contentOf(readInTree(tree, path, max));
  using root = openRoot(tree);
  assert.equal(contentOf(readInRoot(root, path, max)), found, path);
  return found;
}

test('a regular file is read, also through a link whose target is inside the tree', () => {
  link('file', 'relative');
  link('/file', 'absolute');
  link('../file', 'sub/up');
  link('../../../../../file', 'sub/far-up');
  link('relative', 'chain');
  link('sub', 'directory');
  for (const path of [
    'file',
    './file',
    'relative',
    'absolute',
    'sub/up',
    'sub/far-up',
    'chain',
    'directory/up',
    '../file',
    'sub/../file',
  ])
    assert.is(read(path), 'text', path);
});

test('a link out of the tree is not followed, neither inside a path nor at its end', () => {
  link('../outside', 'relative');
  link(join(directory, 'outside'), 'absolute');
  link(directory, 'directory');
  link('nowhere', 'dangling');
  for (const [path, link, target] of [
    ['relative', 'relative', '../outside'],
    ['absolute', 'absolute', join(directory, 'outside')],
    ['directory/outside', 'directory', directory],
    ['dangling', 'dangling', 'nowhere'],
  ])
    assert.equal(read(path!), { kind: 'dangling', link, target }, path);
  for (const path of ['nothing', 'file/below', 'sub/nothing'])
    assert.equal(read(path), { kind: 'absent' }, path);
  link('loop', 'loop');
  assert.throws(
    () => readInTree(tree, 'loop', 100),
    (error: { code: string }) => error.code === 'ELOOP',
  );
});

test('a FIFO, a device and a directory are reported as such and never opened', () => {
  execFileSync('mkfifo', [at('fifo')]);
  link('fifo', 'to-fifo');
  for (const [path, what] of [
    ['fifo', 'a FIFO'],
    ['to-fifo', 'a FIFO'],
    ['sub', 'a directory'],
  ])
    assert.equal(read(path!), { kind: 'other', what }, path);
  assert.equal(contentOf(readNamed(at('fifo'), 100)), { kind: 'other', what: 'a FIFO' });
  assert.equal(contentOf(readNamed('/dev/zero', 100)), { kind: 'other', what: 'a device' });
  assert.equal(contentOf(readNamed('/dev/zero', 100, { devices: true })), {
    kind: 'large',
    max: 100,
  });
  assert.is(contentOf(readNamed('/dev/null', 100, { devices: true })), '');
});

test('a file larger than the limit is not read to its end', () => {
  writeFileSync(at('large'), 'x'.repeat(101));
  assert.equal(read('large'), { kind: 'large', max: 100 });
  assert.is(read('large', 101), 'x'.repeat(101));
});

test('links in a path that the user gives are followed wherever they lead', () => {
  symlinkSync('outside', join(directory, 'named'));
  symlinkSync('nowhere', join(directory, 'broken'));
  assert.is(contentOf(readNamed(join(directory, 'named'), 100)), 'of the host');
  assert.equal(contentOf(readNamed(join(directory, 'broken'), 100)), {
    kind: 'dangling',
    link: join(directory, 'broken'),
    target: 'nowhere',
  });
  assert.equal(contentOf(readNamed(join(directory, 'nothing'), 100)), { kind: 'absent' });
  assert.throws(
    () => readNamed(join(directory, 'outside/below'), 100),
    (error: { code: string }) => error.code === 'ENOTDIR',
  );
});

/** Returns the patterns and the warnings, or the code and the message of the error. */
function ignored(
  dockerfile: DockerfilePlace = {},
): readonly [patterns: readonly string[] | string | undefined, warned: string] {
  const warnings: string[] = [];
  const warn = (event: unknown) => warnings.push((event as WarningEvent).short);
  try {
    return [ignoreOf(tree, dockerfile, warn)?.patterns.map(({ text }) => text), warnings.join()];
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    return [error.code, error.message];
  }
}

test('an ignore file beside the Dockerfile takes precedence over .dockerignore', () => {
  assert.equal(ignored(), [undefined, '']);
  writeFileSync(at('.dockerignore'), 'usual\n');
  assert.equal(ignored({ inContext: 'sub/D' }), [['usual'], '']);
  writeFileSync(at('sub/D.dockerignore'), 'own\n');
  assert.equal(ignored({ inContext: 'sub/D' }), [['own'], '']);
  assert.equal(ignored({ elsewhere: join(directory, 'D') }), [['usual'], '']);
  writeFileSync(join(directory, 'D.dockerignore'), 'elsewhere\n');
  assert.equal(ignored({ elsewhere: join(directory, 'D') }), [['elsewhere'], '']);
  rmSync(at('sub/D.dockerignore'));
  link('../file', 'sub/D.dockerignore');
  assert.equal(ignored({ inContext: 'sub/D' }), [['text'], '']);
});

test('a dangling ignore file is a warning with its target, and the next candidate is used', () => {
  link('../outside', '.dockerignore');
  let [patterns, warned] = ignored();
  assert.is(patterns, undefined);
  assert.match(
    warned,
    /^\.dockerignore leads nowhere: "\.dockerignore" is a link to "\.\.\/outside"/,
  );
  rmSync(at('.dockerignore'));
  writeFileSync(at('.dockerignore'), 'usual\n');
  link('gone/ignore', 'D.dockerignore');
  [patterns, warned] = ignored({ inContext: 'D' });
  assert.equal(patterns, ['usual']);
  assert.match(warned, /^D\.dockerignore leads nowhere: .*"gone\/ignore"/);
  symlinkSync('nowhere', join(directory, 'E.dockerignore'));
  assert.match(
    ignored({ elsewhere: join(directory, 'E') })[1],
    /E\.dockerignore" is a link to "nowhere"/,
  );
});

test('an ignore file that cannot hold patterns is an error that says why', () => {
  const said = (why: RegExp) => {
    const [code, message] = ignored();
    assert.is(code, 'KILN_DOCKERIGNORE_UNREADABLE');
    assert.match(message, why);
    rmSync(at('.dockerignore'), { recursive: true });
  };
  execFileSync('mkfifo', [at('.dockerignore')]);
  said(/\.dockerignore is a FIFO/);
  mkdirSync(at('.dockerignore'));
  said(/\.dockerignore is a directory/);
  writeFileSync(at('.dockerignore'), Buffer.alloc(4 * 1024 * 1024 + 1, '#'));
  said(/has more than 4194304 bytes/);
  writeFileSync(at('.dockerignore'), Buffer.from('no\nkey', 'utf16le'));
  said(/NUL bytes/);
});

test('an ignore file may have a byte order mark, be UTF-16, have blank lines, or be empty', () => {
  const text = '\ufeff*.key\r\n# none\r\n\r\n!ok.key\r\n';
  const little = Buffer.from(text, 'utf16le');
  for (const bytes of [Buffer.from(text), little, Buffer.from(little).swap16()]) {
    writeFileSync(at('.dockerignore'), bytes);
    assert.equal(ignored(), [['*.key', '!ok.key'], '']);
  }
  for (const blank of ['', '\n', ' \n\t\r\n\n']) {
    writeFileSync(at('.dockerignore'), blank);
    assert.equal(ignored(), [[], ''], JSON.stringify(blank));
  }
});

test.run();
