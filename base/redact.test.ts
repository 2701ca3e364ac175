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
  for (const part of ['a://', '://@', 'x@', 'a://b:c', '@', 'a://b@c@']) {
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
