import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { openRoot } from '../snapshotter/sys/rooted.ts';
import { GROUP, PASSWD } from './fixture.ts';
import { type ResolvedUser, resolveUser } from './user.ts';

function inTree<T>(
  prepare: (etc: string) => void,
  use: (user: (spec: string) => ResolvedUser) => T,
): T {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-user-'));
  try {
    mkdirSync(join(directory, 'etc'));
    prepare(join(directory, 'etc'));
    using root = openRoot(directory);
    return use((spec) => resolveUser(root, spec));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const usual = (etc: string) => {
  writeFileSync(join(etc, 'passwd'), PASSWD);
  writeFileSync(join(etc, 'group'), GROUP);
};

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof KilnError) return error.code;
    throw error;
  }
  return 'nothing thrown';
}

// The results of Docker 28.5 (BuildKit) for the same files.
const ORACLE: readonly [string, number, number, number[], string][] = [
  ['', 0, 0, [10, 0], '/root'],
  ['root', 0, 0, [10, 0], '/root'],
  ['1234', 1234, 0, [0], '/'],
  ['alice', 1000, 1001, [10, 20, 1001], '/home/alice'],
  ['1000', 1000, 1001, [10, 20, 1001], '/home/alice'],
  ['1000:', 1000, 1001, [10, 20, 1001], '/home/alice'],
  ['alice:20', 1000, 20, [20], '/home/alice'],
  ['alice:extra', 1000, 20, [20], '/home/alice'],
  [':20', 0, 20, [20], '/root'],
  ['1000:4242', 1000, 4242, [4242], '/home/alice'],
  ['nohome', 1003, 1003, [1003], ''],
];

test('users and groups are looked up as BuildKit does', () => {
  inTree(usual, (user) => {
    for (const [spec, uid, gid, additionalGids, home] of ORACLE)
      assert.equal(user(spec), { uid, gid, additionalGids, home }, spec);
  });
});

test('an unknown user or group is named in the error', () => {
  inTree(usual, (user) => {
    assert.throws(() => user('bogus'), /unable to find user bogus/);
    assert.throws(() => user('alice:bogus'), /unable to find group bogus/);
    assert.throws(() => user('alice:alice:x'), /unable to find group alice:x/);
    assert.is(
      codeOf(() => user('bogus')),
      'KILN_USER_UNKNOWN',
    );
  });
});

test('ids outside the range from 0 to 2147483647 are refused', () => {
  inTree(usual, (user) => {
    for (const spec of ['-1', '2147483648', '4294967295', '99999999999', '0:-1', '0:2147483648'])
      assert.is(
        codeOf(() => user(spec)),
        'KILN_USER_UNKNOWN',
        spec,
      );
    assert.is(user('2147483647').uid, 2147483647);
  });
});

test('a tree without passwd and group accepts numbers only', () => {
  inTree(
    () => {},
    (user) => {
      assert.equal(user(''), { uid: 0, gid: 0, additionalGids: [0], home: '/' });
      assert.equal(user('7:8'), { uid: 7, gid: 8, additionalGids: [8], home: '/' });
      assert.is(
        codeOf(() => user('root')),
        'KILN_USER_UNKNOWN',
      );
    },
  );
});

test('a passwd file that is huge, a FIFO or a device is refused without being read', () => {
  const hostile: Readonly<Record<string, (path: string) => void>> = {
    sparse: (path) => {
      writeFileSync(path, '');
      truncateSync(path, 2 ** 30);
    },
    fifo: (path) => execFileSync('mkfifo', [path]),
    directory: (path) => mkdirSync(path),
    loop: (path) => symlinkSync('passwd', path),
  };
  for (const [name, make] of Object.entries(hostile)) {
    inTree(
      (etc) => make(join(etc, 'passwd')),
      (user) =>
        assert.is(
          codeOf(() => user('alice')),
          'KILN_USER_FILE',
          name,
        ),
    );
  }
});

test('a passwd that is a link leads to a file of the tree, never of the host', () => {
  inTree(
    (etc) => {
      writeFileSync(join(etc, 'real'), 'inside:x:77:78::/in:/bin/sh\n');
      symlinkSync('/etc/real', join(etc, 'passwd'));
    },
    (user) => assert.is(user('inside').uid, 77),
  );
  inTree(
    (etc) => symlinkSync('../../../../../../etc/passwd', join(etc, 'passwd')),
    (user) =>
      assert.is(
        codeOf(() => user('root')),
        'KILN_USER_FILE',
      ),
  );
});

test.run();
