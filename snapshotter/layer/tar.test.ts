import { execFileSync } from 'node:child_process';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { END_OF_ARCHIVE, encodeHeader, extendedHeader, NO_XATTRS, type TarEntry } from './tar.ts';

const entries: fc.Arbitrary<TarEntry> = fc.record({
  type: fc.constantFrom('file', 'directory', 'symlink', 'hardlink', 'char', 'fifo'),
  path: fc.oneof(
    fc.string({ minLength: 1, maxLength: 110 }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  ),
  linkPath: fc.constantFrom('', '', 'target'),
  mode: fc.nat(0o7777),
  uid: fc.constantFrom(0, 1, 1000, 0o7777777, 0o10000000, 2 ** 32 - 2),
  gid: fc.constantFrom(0, 7, 0o7777777, 0o10000000),
  size: fc.constantFrom(0, 1, 511, 0o77777777777, 0o100000000000),
  mtime: fc.record({
    sec: fc.constantFrom(0, 1, 1_700_000_000, -1, 0o77777777777, 0o100000000000),
    nsec: fc.constant(0),
  }),
  devMajor: fc.constantFrom(0, 0, 8),
  devMinor: fc.constantFrom(0, 0, 1),
  xattrs: fc.constantFrom(
    NO_XATTRS,
    NO_XATTRS,
    new Map([['security.capability', Buffer.from('x')]]),
  ),
});

test('a plain header is the same as the general encoder makes', () => {
  fc.assert(
    fc.property(entries, (entry) => encodeHeader(entry).equals(extendedHeader(entry))),
    { numRuns: 2000 },
  );
});

test('GNU tar reads a plain header', () => {
  const entry = {
    type: 'file',
    path: 'a/b',
    linkPath: '',
    mode: 0o4751,
    uid: 12345,
    gid: 54,
    size: 0,
    mtime: { sec: 1_700_000_000, nsec: 0 },
    devMajor: 0,
    devMinor: 0,
    xattrs: NO_XATTRS,
  } as const;
  const input = Buffer.concat([encodeHeader(entry), END_OF_ARCHIVE]);
  const listed = execFileSync('tar', ['--utc', '--numeric-owner', '-tvf', '-'], {
    input,
    encoding: 'utf8',
  });
  assert.match(listed, /^-rwsr-x--x 12345\/54 +0 2023-11-14 22:13 a\/b\n$/);
});

test.run();
