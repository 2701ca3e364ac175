import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seal } from '../../solver/llb/draft.ts';
import { parsePorts } from './expose.ts';
import { gitRefOf } from './gitref.ts';
import { duration } from './goformat.ts';
import { parseSize } from './parse-size.ts';
import { base, destination, join, workingDirectory } from './paths.ts';
import { gitContext } from './remote.ts';
import { signalNumber } from './signals.ts';

/* Small written forms: what they mean, and how they are printed. */

test('paths are joined as Go does it', () => {
  assert.equal([join('', ''), join('/', '../a'), join('/a', '', './b/')], ['', '/a', '/a/b']);
  assert.equal(['', '/', '/a/', 'b'].map(base), ['.', '/', 'a', 'b']);
  assert.equal(
    ['', '.', './', 'x/.', '/y/', '/.'].map((path) => destination('/w', path)),
    ['/w/', '/w/', '/w/', '/w/x/.', '/y/', '/.'],
  );
  assert.equal(
    [workingDirectory('', ''), workingDirectory('/a', '../b'), workingDirectory('/a', '/c//d')],
    ['/', '/b', '/c//d'],
  );
});

test('durations, sizes and signals are read and written as Docker does it', () => {
  assert.equal([0, 5, 1500, 2e6, 1.5e9, 90e9, 3600e9].map(duration), [
    '0s',
    '5ns',
    '1.5µs',
    '2ms',
    '1.5s',
    '1m30s',
    '1h0m0s',
  ]);
  assert.equal(['64m', '1.5k', '2KiB', '7', '1gb', 'x', '-1'].map(parseSize), [
    67108864,
    1536,
    2048,
    7,
    1073741824,
    undefined,
    undefined,
  ]);
  assert.equal(['SIGTERM', 'kill', '9', 'RTMIN+1', 'SIGRTMAX', '0', 'RTMIN-1'].map(signalNumber), [
    15,
    9,
    9,
    35,
    64,
    undefined,
    undefined,
  ]);
});

test('ports may be ranges, with a protocol, and with a host part that does not count', () => {
  assert.equal(parsePorts('80'), ['80/tcp']);
  assert.equal(parsePorts('8000-8002/UDP'), ['8000/udp', '8001/udp', '8002/udp']);
  assert.equal(parsePorts('127.0.0.1:8080:80'), ['80/tcp']);
  assert.equal(parsePorts('[::1]:1-2:3-4/sctp'), ['3/sctp', '4/sctp']);
});

test('git repositories are told from other sources', () => {
  for (const other of ['a.git', './x.git', 'https://h/a', 'dir/repo', 'ftp://h/x.git'])
    assert.is(gitRefOf(other), undefined, other);
  const ssh = gitRefOf('git@h:org/repo.git#v1:sub/../dir');
  assert.equal(
    [ssh?.id, ssh?.remote, ssh?.ref, ssh?.subdir, ssh?.ssh],
    ['h/org/repo.git', 'git@h:org/repo.git', 'v1', 'dir', true],
  );
  assert.is(gitRefOf('github.com/a/b')?.looksLocal, true);
  assert.is(gitRefOf('https://h/a.git?branch=x')?.ref, 'refs/heads/x');
});

test('the query of a git URL says what times files have, and may fetch by the commit', () => {
  const url = 'https://h/a.git';
  const attrsOf = (query: string) => {
    const tree = gitContext(gitRefOf(url + query)!, url);
    const { op } = seal(tree, { os: 'linux', architecture: 'amd64' }).vertex;
    return op.kind === 'source' ? op.source.attrs : {};
  };
  assert.is(attrsOf('?mtime=commit')['git.mtime'], 'commit');
  assert.not('git.mtime' in attrsOf('?mtime=checkout'));
  const commit = 'ab'.repeat(20);
  for (const query of [
    `?fetch-by-commit&checksum=${commit}`,
    `?fetch-by-commit=true&ref=${commit}`,
    `?fetch-by-commit=1#${commit}`,
  ])
    assert.is(attrsOf(query)['git.fetchbycommit'], 'true', query);
  assert.not('git.fetchbycommit' in attrsOf('?fetch-by-commit=false#main'));
  for (const [query, why] of [
    ['?mtime=now', /mtime=now is neither commit nor checkout/],
    ['?mtime=', /mtime has no value/],
    ['?fetch-by-commit=perhaps', /neither true nor false/],
    ['?fetch-by-commit#main', /full id of a commit/],
    ['?fetch-by-commit&checksum=abcdef', /full id of a commit/],
  ] as const)
    assert.throws(() => attrsOf(query), why);
});

test.run();
