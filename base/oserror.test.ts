import { constants } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from './errors.ts';
import { attempt, osError, reading, reasonOf, unhandledOsError, writing } from './oserror.ts';

const failure = (code: string, more: object = {}) =>
  Object.assign(new Error(`${code}: in the system's words`), { code, ...more });
const errorFor = (code: string, doing: 'read' | 'write' = 'read') =>
  osError(failure(code), {
    code: 'KILN_SYSTEM',
    what: 'the file cannot be used',
    path: '/a/b',
    doing,
  }) as KilnError;

/** Errors that a user meets at a path, a disk or a peer. */
const USER_ERRORS = [
  ['EACCES', /permission denied$/, /chmod|rights|may/],
  ['EPERM', /not permitted$/, /lsattr/],
  ['EISDIR', /is a directory$/, /\/a\/b|not a directory/],
  ['ENOTDIR', /not a directory$/, /every part/],
  ['ELOOP', /leads to itself/, /namei -l \/a\/b/],
  ['ENAMETOOLONG', /too long$/, /255/],
  ['ENOSPC', /no space left/, /df -h \/a\/b/],
  ['EDQUOT', /quota exceeded$/, /quota -s/],
  ['EROFS', /read-only file system$/, /read-write/],
  ['EMFILE', /too many open files$/, /ulimit -n/],
  ['ENFILE', /too many open files on this machine$/, /fs\.file-max/],
  ['EIO', /input\/output error$/, /dmesg/],
  ['ESTALE', /stale/, /mount/],
  ['ETXTBSY', /running$/, /fuser -v \/a\/b/],
  ['EBUSY', /in use$/, /fuser -v \/a\/b/],
] as const;

for (const [code, reason, hint] of USER_ERRORS) {
  test(`${code} is reported with its reason, the path and a next step`, () => {
    for (const doing of ['read', 'write'] as const) {
      const error = errorFor(code, doing);
      assert.instance(error, KilnError);
      assert.match(error.message, /^the file cannot be used: /);
      assert.match(error.message, reason);
      assert.match(error.hint ?? '', hint);
      assert.equal(error.place, { kind: 'path', path: '/a/b' });
      assert.not.match(error.message, code);
    }
  });
}

test('EFBIG of a write names the limit, EPIPE names the reader that has gone', () => {
  assert.match(errorFor('EFBIG', 'write').hint ?? '', /ulimit -f/);
  assert.match(errorFor('EFBIG').message, /too large$/);
  assert.match(errorFor('EPIPE', 'write').message, /the reader has gone$/);
});

test('an errno without a description is reported by its name', () => {
  const without = Object.keys(constants.errno).filter((code) => reasonOf(failure(code)) === code);
  assert.ok(without.includes('ECHILD'));
  assert.match(errorFor('ECHILD').message, /ECHILD$/);
});

test('a hint for one errno comes before the usual advice, a general hint comes after it', () => {
  const about = { code: 'KILN_SYSTEM', what: 'it failed' } as const;
  const hint = (code: string, given: string | Record<string, string>) =>
    (osError(failure(code), { ...about, hint: given }) as KilnError).hint;
  assert.is(hint('EIO', { EIO: 'mine' }), 'mine');
  assert.is.not(hint('EIO', { ENOENT: 'mine' }), 'mine');
  assert.is(hint('ENOENT', 'mine'), 'mine');
  assert.is.not(hint('EIO', 'mine'), 'mine');
});

test('an error that is not from the operating system is returned unchanged', () => {
  const others = [
    new KilnError('KILN_USAGE', 'wrong'),
    new TypeError('a bug'),
    failure('ERR_INVALID_ARG_TYPE'),
    'text',
    undefined,
  ];
  for (const other of others) {
    assert.is(osError(other, { code: 'KILN_SYSTEM', what: 'it failed' }), other);
    assert.is(unhandledOsError(other), other);
  }
});

test('an unhandled system error names call and path; one of a mistake in Kiln is a bug', () => {
  const error = unhandledOsError(
    failure('EIO', { syscall: 'open', path: '/d/f' }),
    'COPY a b',
  ) as KilnError;
  assert.is(error.code, 'KILN_SYSTEM');
  assert.is(error.message, 'COPY a b: open /d/f: input/output error');
  assert.equal(error.place, { kind: 'path', path: '/d/f' });
  assert.is(
    (unhandledOsError(failure('EIO')) as KilnError).message,
    'the system refused a call: input/output error',
  );
  const bug = failure('EBADF');
  assert.is(unhandledOsError(bug), bug);
});

test('an error about a file that the user named says what it is, its path and the reason', () => {
  const read = osError(failure('EACCES'), reading('the environment file', '/e')) as KilnError;
  assert.is(read.message, 'the environment file /e cannot be read: permission denied');
  const write = osError(failure('EISDIR'), writing('the metadata file', '/m')) as KilnError;
  assert.is(write.message, 'the metadata file /m cannot be written: it is a directory');
  assert.equal([read.code, write.code], ['KILN_FILE_UNREADABLE', 'KILN_FILE_UNWRITABLE']);
});

test('attempt returns the result of the body, and converts the system error that it throws', () => {
  assert.is(
    attempt({ code: 'KILN_SYSTEM', what: 'x' }, () => 7),
    7,
  );
  assert.throws(
    () =>
      attempt({ code: 'KILN_SYSTEM', what: 'x cannot be read' }, () => {
        throw failure('EISDIR');
      }),
    /^x cannot be read: it is a directory$/,
  );
});

test.run();
