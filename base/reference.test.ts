import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { asDigest } from './digest.ts';
import { KilnError } from './errors.ts';
import {
  familiarName,
  formatReference,
  nameOf,
  parseReference,
  tryParseReference,
  withoutLatest,
} from './reference.ts';

const D = `sha256:${'f'.repeat(64)}`;

const full: readonly [string, string][] = [
  ['busybox', 'docker.io/library/busybox:latest'],
  ['busybox:1.36', 'docker.io/library/busybox:1.36'],
  [`busybox@${D}`, `docker.io/library/busybox@${D}`],
  [`busybox:1@${D}`, `docker.io/library/busybox:1@${D}`],
  ['team/app', 'docker.io/team/app:latest'],
  ['docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['index.docker.io/library/busybox', 'docker.io/library/busybox:latest'],
  ['me/app:1', 'docker.io/me/app:1'],
  ['h:5000/a/b', 'h:5000/a/b:latest'],
  ['localhost/app', 'localhost/app:latest'],
  ['localhost:5000/app', 'localhost:5000/app:latest'],
  ['test.com:5000', 'docker.io/library/test.com:5000'],
  ['test_com/foo', 'docker.io/test_com/foo:latest'],
  ['foo/foo_bar.com:8080', 'docker.io/foo/foo_bar.com:8080'],
  ['Uppercase/lowercase:tag', 'Uppercase/lowercase:tag'],
  ['lowercase:Uppercase', 'docker.io/library/lowercase:Uppercase'],
  ['registry.example.com/a/b/c:v1.0_x-y', 'registry.example.com/a/b/c:v1.0_x-y'],
  ['[2001:db8::1]/repo', '[2001:db8::1]/repo:latest'],
  ['[::1]:5000/repo:tag', '[::1]:5000/repo:tag'],
  ['192.168.1.1:5000/repo:5050', '192.168.1.1:5000/repo:5050'],
  [`x.com/${'a/'.repeat(127)}a`, `x.com/${'a/'.repeat(127)}a:latest`],
  ['foo__bar/a--b', 'docker.io/foo__bar/a--b:latest'],
];
for (const [text, expected] of full) {
  test(`${text} is ${expected}`, () => assert.is(formatReference(parseReference(text)), expected));
}

const wrong: readonly [string, RegExp][] = [
  ['', /empty/],
  [':justtag', /missing/],
  [`@${D}`, /missing/],
  ['repo@sha256:ffff', /64 lower-case/],
  [`repo@SHA256:${'f'.repeat(64)}`, /not supported/],
  [`repo@sha512:${'f'.repeat(128)}`, /sha512 is not supported/],
  ['repo@deadbeef', /not a digest/],
  ['Uppercase:tag', /lower-case/],
  ['test:5000/Uppercase/x', /lower-case/],
  ['aa/asdf$$^/aa', /component/],
  ['a//b', /empty component/],
  ['a/b/', /empty component/],
  ['a___b', /component/],
  ['-a', /component/],
  ['a-', /component/],
  ['[2001:db8::1]', /component/],
  ['[fe80::1%eth0]:5000/repo', /host/],
  ['-x.com/repo', /host/],
  ['a.b__c/repo', /host/],
  ['x.com:/repo', /host/],
  ['x.com:abc/repo', /host/],
  ['a..b', /component/],
  ['a.-b', /component/],
  ['repo:', /not a tag/],
  ['repo:-x', /not a tag/],
  [`repo:${'t'.repeat(129)}`, /not a tag/],
  ['f'.repeat(64), /64 hexadecimal/],
  ['https://docker.io/busybox', /scheme/],
  ['busybox ', /component/],
  ['bus\tybox', /component/],
  [`${'a/'.repeat(128)}a`, /255 are allowed/],
];
for (const [text, why] of wrong) {
  test(`${JSON.stringify(text.slice(0, 60))} is refused: ${why.source}`, () => {
    assert.throws(
      () => parseReference(text),
      (error: unknown) =>
        error instanceof KilnError &&
        error.code === 'KILN_REFERENCE_INVALID' &&
        why.test(error.message),
    );
  });
}

test('the short form names the same image', () => {
  for (const [text, short] of [
    ['busybox', 'busybox:latest'],
    ['docker.io/team/app:1', 'team/app:1'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    ['docker.io/library/a/b', 'library/a/b:latest'],
    ['docker.io/docker.io/a', 'docker.io/docker.io/a:latest'],
    ['docker.io/localhost/a', 'docker.io/localhost/a:latest'],
    ['docker.io/library/x.y', 'x.y:latest'],
    [`busybox@${D}`, `busybox@${D}`],
  ] as const) {
    assert.is(familiarName(parseReference(text)), short);
    assert.equal(parseReference(short), parseReference(text));
  }
});

test('adding a digest pins a reference', () => {
  const pinned = (text: string) =>
    formatReference({ ...parseReference(text), digest: asDigest(D) });
  assert.is(pinned('a'), `docker.io/library/a:latest@${D}`);
  assert.is(pinned(`a@sha256:${'0'.repeat(64)}`), `docker.io/library/a@${D}`);
});

test('tryParseReference returns undefined for text that is not a reference', () => {
  assert.is(tryParseReference('busybox')?.path, 'library/busybox');
  for (const wrong of ['', 'A', 'a b', 'a:', 'a/', '-a', `a@sha256:1`, '0'.repeat(64)])
    assert.is(tryParseReference(wrong), undefined, wrong);
});

test('the tag latest can be left out when no digest follows it', () => {
  const short = (text: string) => familiarName(withoutLatest(parseReference(text)));
  assert.equal(
    ['docker.io/library/a:latest', 'a', 'docker.io/me/a:2', `a:latest@${D}`, `a@${D}`].map(short),
    ['a', 'a', 'me/a:2', `a:latest@${D}`, `a@${D}`],
  );
});

test('a stored name has no digest', () => {
  assert.is(nameOf(parseReference(`busybox:1@${D}`)), 'docker.io/library/busybox:1');
  assert.is(nameOf(parseReference(`busybox@${D}`)), 'docker.io/library/busybox');
});

test('an accepted reference is a fixed point of parsing and formatting', () => {
  const char = fc.constantFrom(
    ...'aB0.:/@_-[]$ '.split(''),
    'docker.io/',
    'localhost',
    'library/',
    D,
  );
  fc.assert(
    fc.property(fc.array(char, { maxLength: 12 }), (parts) => {
      let reference: ReturnType<typeof parseReference>;
      try {
        reference = parseReference(parts.join(''));
      } catch (error) {
        assert.is((error as KilnError).code, 'KILN_REFERENCE_INVALID');
        return;
      }
      assert.equal(parseReference(formatReference(reference)), reference);
      assert.equal(parseReference(familiarName(reference)), reference);
    }),
    { numRuns: 2000 },
  );
});

test.run();
