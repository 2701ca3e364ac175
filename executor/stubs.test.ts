import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { utimensat } from '../snapshotter/sys/calls.ts';
import { AT } from '../snapshotter/sys/constants.ts';
import { openRoot } from '../snapshotter/sys/rooted.ts';
import { makeStubs } from './stubs.ts';

function inTree(use: (at: (path: string) => string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-stubs-'));
  mkdirSync(join(directory, 'root/etc'), { recursive: true });
  mkdirSync(join(directory, 'canary'));
  try {
    use((path) => join(directory, path));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const file = (path: string) => ({ path, kind: 'file' }) as const;
const dir = (path: string) => ({ path, kind: 'directory' }) as const;
const mtimeOf = (path: string) => lstatSync(path, { bigint: true }).mtimeNs;

/** Sets a time that only nanosecond arithmetic preserves. */
function age(path: string): bigint {
  const time = { sec: 1_000_000_000, nsec: 123_456_789 };
  utimensat(AT.FDCWD, path, time, time);
  return mtimeOf(path);
}

test('stubs exist during the run only, and the times of directories are restored', () => {
  inTree((at) => {
    const [top, etc] = [age(at('root')), age(at('root/etc'))];
    using root = openRoot(at('root'));
    using stubs = makeStubs(root, [
      file('/etc/hosts'),
      file('/run/secrets/token'),
      dir('/var/cache/apt'),
    ]);
    assert.ok(lstatSync(at('root/etc/hosts')).isFile());
    assert.ok(lstatSync(at('root/run/secrets/token')).isFile());
    assert.ok(lstatSync(at('root/var/cache/apt')).isDirectory());
    assert.is(mtimeOf(at('root')), top);
    assert.is(stubs.made, 7);
    stubs.remove();
    for (const path of ['root/etc/hosts', 'root/run', 'root/var'])
      assert.not(existsSync(at(path)), path);
    assert.is(mtimeOf(at('root')), top);
    assert.is(mtimeOf(at('root/etc')), etc);
  });
});

test('existing files are not touched', () => {
  inTree((at) => {
    writeFileSync(at('root/etc/hosts'), '');
    mkdirSync(at('root/empty'));
    const before = [age(at('root/etc/hosts')), age(at('root/empty'))];
    using root = openRoot(at('root'));
    using stubs = makeStubs(root, [file('/etc/hosts'), dir('/empty'), dir('/')]);
    assert.is(stubs.made, 0);
    stubs.remove();
    assert.equal([mtimeOf(at('root/etc/hosts')), mtimeOf(at('root/empty'))], before);
  });
});

test('a directory that the process used remains, with the time it got from that', () => {
  inTree((at) => {
    using root = openRoot(at('root'));
    using stubs = makeStubs(root, [dir('/data/cache')]);
    writeFileSync(at('root/data/kept'), 'x');
    utimesSync(at('root/data'), 5, 5);
    stubs.remove();
    assert.not(existsSync(at('root/data/cache')));
    assert.is(readFileSync(at('root/data/kept'), 'utf8'), 'x');
    assert.is(lstatSync(at('root/data')).mtimeMs, 5000);
  });
});

test('a link in the way is followed inside the tree, even to a name that is missing', () => {
  inTree((at) => {
    symlinkSync('/run/stub.conf', at('root/etc/resolv.conf'));
    symlinkSync('../../../../canary', at('root/out'));
    using root = openRoot(at('root'));
    using stubs = makeStubs(root, [file('/etc/resolv.conf'), file('/out/x')]);
    assert.ok(lstatSync(at('root/run/stub.conf')).isFile());
    assert.ok(existsSync(at('root/canary/x')));
    assert.not(existsSync(at('canary/x')));
    stubs.remove();
    assert.not(existsSync(at('root/run')));
    assert.not(existsSync(at('root/canary')));
    assert.ok(lstatSync(at('root/etc/resolv.conf')).isSymbolicLink());
  });
});

test('CVE-2024-23652: nothing of the host is removed when a link replaced the parent', () => {
  inTree((at) => {
    using root = openRoot(at('root'));
    using stubs = makeStubs(root, [dir('/mnt/cache/sub'), file('/mnt/token')]);
    mkdirSync(at('canary/cache/sub'), { recursive: true });
    writeFileSync(at('canary/token'), '');
    renameSync(at('root/mnt'), at('root/elsewhere'));
    symlinkSync(at('canary'), at('root/mnt'));
    stubs.remove();
    assert.ok(existsSync(at('canary/cache/sub')));
    assert.ok(existsSync(at('canary/token')));
    // Stubs are removed where they are now, even if the process renamed their parent. The parent
    // itself has another name, so it remains.
    assert.not(existsSync(at('root/elsewhere/cache')));
    assert.not(existsSync(at('root/elsewhere/token')));
  });
});

test('a file that replaced a stub remains', () => {
  inTree((at) => {
    using root = openRoot(at('root'));
    using stubs = makeStubs(root, [file('/etc/hosts'), dir('/work')]);
    rmSync(at('root/etc/hosts'));
    symlinkSync(at('canary'), at('root/etc/hosts'));
    rmSync(at('root/work'), { recursive: true });
    writeFileSync(at('root/work'), '');
    stubs.remove();
    assert.ok(lstatSync(at('root/etc/hosts')).isSymbolicLink());
    assert.ok(lstatSync(at('root/work')).isFile());
  });
});

test('a stub file that was written to remains', () => {
  inTree((at) => {
    using root = openRoot(at('root'));
    using stubs = makeStubs(root, [file('/etc/hosts')]);
    writeFileSync(at('root/etc/hosts'), 'mine');
    stubs.remove();
    assert.is(readFileSync(at('root/etc/hosts'), 'utf8'), 'mine');
  });
});

test('a file in the way is an error, and stubs that were made before it are removed', () => {
  inTree((at) => {
    writeFileSync(at('root/plain'), 'x');
    using root = openRoot(at('root'));
    assert.throws(
      () => makeStubs(root, [dir('/made'), dir('/plain/below')]),
      /\/plain in the image is not a directory/,
    );
    assert.not(existsSync(at('root/made')));
  });
});

test.run();
