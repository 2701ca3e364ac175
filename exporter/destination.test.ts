import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { tryDirectory, tryFile, writeTo } from './destination.ts';

const test = suite<{ root: string }>('destinations');
test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'kiln-destination-'));
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

const signal = new AbortController().signal;
const write = (path: string, text: string) =>
  writeTo({ kind: 'file', path }, signal, (sink) => sink.write(Buffer.from(text)));

function refused(body: () => void): KilnError {
  try {
    body();
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  assert.unreachable('it should be refused');
  throw new Error();
}

test('trying a file does not create it, and leaves an existing file unchanged', ({ root }) => {
  tryFile({ path: join(root, 'new'), flag: '--x' });
  writeFileSync(join(root, 'old'), 'old');
  tryFile({ path: join(root, 'old'), flag: '--x' });
  tryDirectory({ path: join(root, 'a/b/c'), flag: '--x' });
  assert.equal(readdirSync(root), ['old']);
  assert.is(readFileSync(join(root, 'old'), 'utf8'), 'old');
});

test('a path that cannot be written is refused at the flag that names it', ({ root }) => {
  writeFileSync(join(root, 'file'), '');
  mkdirSync(join(root, 'directory'));
  symlinkSync('nowhere/x', join(root, 'dangling'));
  symlinkSync('loop', join(root, 'loop'));
  for (const [path, code] of [
    ['no/such', 'KILN_OUTPUT_INVALID'],
    ['directory', 'KILN_OUTPUT_INVALID'],
    ['dangling', 'KILN_OUTPUT_INVALID'],
    ['file/x', 'KILN_OUTPUT_UNWRITABLE'],
    ['loop', 'KILN_OUTPUT_UNWRITABLE'],
    ['x'.repeat(300), 'KILN_OUTPUT_UNWRITABLE'],
  ] as const) {
    const error = refused(() => tryFile({ path: join(root, path), flag: '--iidfile' }));
    assert.is(error.code, code, path);
    assert.equal(error.place, { kind: 'flag', flag: '--iidfile' }, path);
    assert.ok(error.hint, path);
  }
  assert.is(
    refused(() => tryDirectory({ path: join(root, 'file/x'), flag: '--x' })).code,
    'KILN_OUTPUT_INVALID',
  );
});

test('a link stays a link, and its target is written', async ({ root }) => {
  mkdirSync(join(root, 'there'));
  writeFileSync(join(root, 'there/old'), 'old');
  symlinkSync('there/old', join(root, 'link'));
  symlinkSync('there/new', join(root, 'dangling'));
  await write(join(root, 'link'), 'one');
  await write(join(root, 'dangling'), 'two');
  assert.is(readlinkSync(join(root, 'link')), 'there/old');
  assert.ok(lstatSync(join(root, 'dangling')).isSymbolicLink());
  assert.is(readFileSync(join(root, 'there/old'), 'utf8'), 'one');
  assert.is(readFileSync(join(root, 'there/new'), 'utf8'), 'two');
});

test('when the source fails no file remains, and the error is that of the source', async ({
  root,
}) => {
  const path = join(root, 'o');
  writeFileSync(path, 'before');
  const failure = Object.assign(new Error('EIO: the source'), { code: 'EIO' });
  const failed = await writeTo({ kind: 'file', path }, signal, async (sink) => {
    await sink.write(Buffer.alloc(100));
    assert.is(readdirSync(root).length, 2);
    throw failure;
  }).catch((error: unknown) => error);
  assert.is(failed, failure);
  assert.equal(readdirSync(root), ['o']);
  assert.is(readFileSync(path, 'utf8'), 'before');
});

test('a full device is reported with its path', async ({ root }) => {
  const error = await write('/dev/full', 'x').catch((thrown: unknown) => thrown);
  assert.instance(error, KilnError);
  assert.is((error as KilnError).code, 'KILN_DISK_FULL');
  assert.match((error as KilnError).message, '/dev/full');
  assert.ok(existsSync(root));
});

test.run();
