import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { mkdirat, mknodat, openat } from '../sys/calls.ts';
import { AT, O, S } from '../sys/constants.ts';
import { getXattr, setXattr } from '../sys/xattr.ts';
import { describeLayer } from './pack.ts';
import { checkWritten, isReserved } from './reserved.ts';

interface Context {
  top: string;
}

const test = suite<Context>('names that no layer can carry');

test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-reserved-'));
});
test.after.each(({ top }) => {
  execFileSync('rm', ['-rf', top]);
});

/** The path in the error. */
function refused(run: () => void): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof KilnError, String(error));
    assert.is(error.code, 'KILN_LAYER_NAME');
    return /^"([^"]*)"/.exec(error.message)?.[1];
  }
}

test('exactly the names that begin with .wh. are reserved', () => {
  for (const name of ['.wh.', '.wh.a', '.wh..', '.wh..wh..opq', 'd/.wh.a', '/.wh.'])
    assert.ok(isReserved(name), name);
  for (const name of ['', 'a', '.wh', '.whx', 'x.wh.a', '.wh.a/b', 'd/wh.a'])
    assert.not(isReserved(name), name);
});

test('files, directories and links with reserved names are found at any depth, and named', ({
  top,
}) => {
  mkdirSync(join(top, 'a/b'), { recursive: true });
  writeFileSync(join(top, 'a/b/.whatever'), '');
  assert.is(
    refused(() => checkWritten(top, false)),
    undefined,
  );
  for (const make of [
    (path: string) => writeFileSync(path, 'x'),
    (path: string) => mkdirSync(path),
    (path: string) => execFileSync('ln', ['-s', 'x', path]),
  ]) {
    for (const name of ['.wh.', '.wh.passwd', 'a/.wh..wh..opq', 'a/b/.wh..']) {
      make(join(top, name));
      assert.is(
        refused(() => checkWritten(top, false)),
        `/${name}`,
      );
      rmSync(join(top, name), { recursive: true });
    }
  }
});

test('reserved names are found below paths that are longer than the kernel takes', ({ top }) => {
  let dir = openat(AT.FDCWD, top, O.RDONLY | O.DIRECTORY);
  const name = 'd'.repeat(250);
  for (let depth = 0; depth < 20; depth++) {
    mkdirat(dir, name, 0o755);
    dir = openat(dir, name, O.RDONLY | O.DIRECTORY);
  }
  assert.is(
    refused(() => checkWritten(top, false)),
    undefined,
  );
  mknodat(dir, '.wh.x', S.IFREG | 0o644);
  assert.is(
    refused(() => checkWritten(top, true)),
    `${`/${name}`.repeat(20)}/.wh.x`,
  );
});

test("on the lowest layer a device 0:0 is refused and overlay's mark is removed", ({ top }) => {
  mkdirSync(join(top, 'd/e'), { recursive: true });
  setXattr(join(top, 'd/e'), 'trusted.overlay.opaque', Buffer.from('y'));
  checkWritten(top, false);
  assert.is(getXattr(join(top, 'd/e'), 'trusted.overlay.opaque')?.toString(), 'y');
  checkWritten(top, true);
  assert.is(getXattr(join(top, 'd/e'), 'trusted.overlay.opaque'), undefined);
  const dir = openat(AT.FDCWD, join(top, 'd'), O.RDONLY | O.DIRECTORY);
  mknodat(dir, 'null', S.IFCHR | 0o600, 0x103n);
  checkWritten(top, true);
  mknodat(dir, 'gone', S.IFCHR, 0n);
  checkWritten(top, false);
  assert.is(
    refused(() => checkWritten(top, true)),
    '/d/gone',
  );
});

test('a layer that holds a reserved name is not packed', async ({ top }) => {
  mkdirSync(join(top, 'etc'));
  writeFileSync(join(top, 'etc/.wh.passwd'), '');
  const error = await describeLayer({ files: top }, { check: () => {} }).catch(
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KilnError);
  assert.is(error.code, 'KILN_LAYER_NAME');
  assert.match(error.message, '/etc/.wh.passwd');
});

if (process.getuid?.() === 0) test.run();
else console.log('SKIP names that no layer can carry: devices and marks can only be made by root');
