import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hostsText, resolvText } from './netfiles.ts';

const host = (files: Readonly<Record<string, string>>) => (path: string) => files[path];

test('hosts holds the loopback names, the sandbox name and the extra hosts', () => {
  const extraHosts = [{ host: 'db', ip: '10.0.0.7' }];
  assert.is(
    hostsText({ hostname: 'buildkitsandbox', extraHosts }),
    '127.0.0.1\tlocalhost buildkitsandbox\n' +
      '::1\tlocalhost ip6-localhost ip6-loopback\n' +
      '10.0.0.7\tdb\n',
  );
});

test("with the host's network its resolv.conf is used as it is", () => {
  const text = '# mine\nnameserver 127.0.0.53\nsearch example.org\n';
  assert.is(resolvText(true, host({ '/etc/resolv.conf': text })), text);
});

test('with another network, name servers on loopback and IPv6 addresses are left out', () => {
  const text =
    'search a.b\n' +
    'nameserver 127.0.0.1\n' +
    'nameserver 10.1.1.1\n' +
    'nameserver ::1\n' +
    'nameserver fd00::53\n' +
    'options ndots:2\n';
  assert.is(
    resolvText(false, host({ '/etc/resolv.conf': text })),
    'search a.b\nnameserver 10.1.1.1\noptions ndots:2\n',
  );
});

test('behind the stub of systemd-resolved the real servers are found', () => {
  const files = {
    '/etc/resolv.conf': 'nameserver 127.0.0.53\noptions edns0\n',
    '/run/systemd/resolve/resolv.conf': 'nameserver 192.168.1.1\n',
  };
  assert.is(resolvText(false, host(files)), 'nameserver 192.168.1.1\n');
});

test('public name servers are used where no other is left', () => {
  for (const shared of [true, false]) {
    const text = resolvText(shared, host({ '/etc/resolv.conf': 'search x\n' }));
    assert.match(text, /^search x\nnameserver 8\.8\.8\.8\nnameserver 8\.8\.4\.4\n/);
  }
  assert.match(resolvText(false, host({})), /^nameserver 8\.8\.8\.8\n/);
});

test("a server that answers for the host's resolver is preferred to public servers", () => {
  assert.is(
    resolvText(false, host({ '/etc/resolv.conf': 'nameserver 127.0.0.1\n' }), '10.0.2.3'),
    'nameserver 10.0.2.3\n',
  );
  assert.is(
    resolvText(false, host({ '/etc/resolv.conf': 'nameserver 10.1.1.1\n' }), '10.0.2.3'),
    'nameserver 10.1.1.1\n',
  );
});

test.run();
