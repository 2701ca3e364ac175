import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { redactData, redactUrl } from './redact.ts';

test('logins are removed from URLs, and nothing else is', () => {
  assert.is(redactUrl('https://user:pass@host/x@y'), 'https://xxxxx@host/x@y');
  assert.is(redactUrl('https://token@host'), 'https://xxxxx@host');
  assert.is(
    redactUrl('a=https://u:p@ss@host b=http://v:w@h'),
    'a=https://xxxxx@host b=http://xxxxx@h',
  );
  assert.is(redactUrl('ssh://git@host/r'), 'ssh://git@host/r');
  assert.is(redactUrl('ssh://git:pw@host/r'), 'ssh://xxxxx@host/r');
  assert.is(redactUrl('xssh://git@host/r'), 'xssh://xxxxx@host/r');
  assert.is(redactUrl('A=git+ssh://git@host/r'), 'A=git+ssh://git@host/r');
  assert.is(redactUrl('https://host/x?mail=a@b'), 'https://host/x?mail=a@b');
  assert.is(redactUrl('"/https:/user:pw@host/x" not found'), '"/https:/xxxxx@host/x" not found');
  assert.is(redactUrl('/opt:/x@1/bin'), '/opt:/x@1/bin');
  assert.is(
    redactUrl('docker-image://docker.io/a@sha256:1'),
    'docker-image://docker.io/a@sha256:1',
  );
  for (const image of ['docker-image://a:1.2@sha256:1', 'oci-layout://a@sha256:1'])
    assert.is(redactUrl(image), image);
});

test('a login whose password has a slash is removed, and a port with a path is not a login', () => {
  assert.is(redactUrl('get http://u:p/ss@host:80/x@y'), 'get http://xxxxx@host:80/x@y');
  for (const url of [
    'http://h:80/a@b',
    'http://[::1]:80/a@b',
    'see http://h:80, a@b',
    'a://b:/c@d',
  ])
    assert.is(redactUrl(url), url);
});

test('the login of a proxy is removed also where the value has no scheme', () => {
  for (const [text, told] of [
    ['--build-arg HTTP_PROXY=u:p@h:3128 .', '--build-arg HTTP_PROXY=xxxxx@h:3128 .'],
    ['https_proxy=token@h', 'https_proxy=xxxxx@h'],
    ['all_proxy="//u:p@h"', 'all_proxy="//xxxxx@h"'],
    ['http_proxy=http://u:p@h/', 'http_proxy=http://xxxxx@h/'],
    ['proxy=h:1 mail=a@b', 'proxy=h:1 mail=a@b'],
  ] as const)
    assert.is(redactUrl(text), told);
  assert.equal(
    redactData({
      'build-arg:HTTP_PROXY': 'u:p@h:1',
      httpProxy: '//t@h',
      other: 'a:b@c',
      proxy: 'h',
    }),
    { 'build-arg:HTTP_PROXY': 'xxxxx@h:1', httpProxy: '//xxxxx@h', other: 'a:b@c', proxy: 'h' },
  );
});

test('every text in plain data loses its logins; data without logins is the same object', () => {
  const bytes = Buffer.from('https://u:p@h');
  const data = {
    a: ['x', { url: 'RUN wget https://u:p@h/x' }],
    bytes,
    n: 1,
    none: null,
    missing: undefined,
  };
  assert.equal(redactData(data), { ...data, a: ['x', { url: 'RUN wget https://xxxxx@h/x' }] });
  assert.is(redactData(data).bytes, bytes);
  const plain = { a: ['x', { url: 'https://h/x' }], bytes };
  assert.is(redactData(plain), plain);
});

test('the cost is linear in the length, whatever the text is', () => {
  for (const part of [
    'a://',
    '://@',
    'x@',
    'a://b:c',
    '@',
    'a://b@c@',
    'proxy=',
    'proxy=@',
    'a://b:/',
  ]) {
    const cpu = (count: number) => {
      const text = part.repeat(count);
      const before = process.cpuUsage();
      redactUrl(text);
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    cpu(20_000);
    const [once, eightTimes] = [Math.max(cpu(40_000), 2_000), cpu(320_000)];
    assert.ok(
      eightTimes < 30 * once,
      `${part}: ${once} µs, and ${eightTimes} µs for eight times as much`,
    );
  }
});

test('a text that comes with many values is searched once', () => {
  const text = 'wget https://u:p@h/x\n'.repeat(20_000);
  const cpu = (count: number) => {
    const list = Array.from({ length: count }, (_, line) => ({ line, source: { text } }));
    const before = process.cpuUsage();
    const redactedText = redactData(list);
    assert.not.match(redactedText.at(-1)!.source.text, /u:p/);
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const [few, many] = [Math.max(cpu(5), 5_000), cpu(2_000)];
  assert.ok(many < 50 * few, `${few} µs, and ${many} µs for 400 times as many`);
});

test.run();
