import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { diagnoseNetwork, type NetworkHost } from './diagnose.ts';

function host(
  changes: Partial<NetworkHost> = {},
  programs: readonly string[] = ['nft', 'slirp4netns'],
): NetworkHost {
  return {
    root: true,
    find: (name) => (programs.includes(name) ? `/usr/sbin/${name}` : undefined),
    read: () => '0\n',
    isWritable: () => true,
    legacy: () => undefined,
    chains: () => '',
    ...changes,
  };
}

const DROP =
  'table ip filter {\n' +
  '\tchain FORWARD {\n' +
  '\t\ttype filter hook forward priority filter; policy drop;\n' +
  '\t}\n' +
  '}\n';

test('root gets nat by the kernel, an ordinary user slirp4netns', () => {
  assert.is(diagnoseNetwork(host()).kind, 'nat');
  assert.is(diagnoseNetwork(host({ root: false })).kind, 'slirp');
});

test('the obstacles and the missing packages are named', () => {
  const cases: readonly [NetworkHost, RegExp, readonly string[]][] = [
    [host({ chains: () => DROP }), /chain FORWARD .* drops forwarded packets/, []],
    [host({ legacy: () => 'the chain FORWARD of iptables-legacy drops' }), /iptables-legacy/, []],
    [host({ chains: () => undefined }), /nft does not work here/, []],
    [
      host({ isWritable: (path) => path !== '/proc/sys/net/ipv4/ip_forward' }),
      /IP forwarding is off/,
      [],
    ],
    [host({}, ['slirp4netns']), /nft is not installed/, ['nftables']],
  ];
  for (const [given, reason, packages] of cases) {
    const found = diagnoseNetwork(given);
    assert.is(found.kind, 'slirp');
    assert.match(found.reasons[0] ?? '', reason);
    assert.equal(found.packages, packages);
  }
});

test('both reasons are given where neither kind works', () => {
  const bare = diagnoseNetwork(host({}, []));
  assert.is(bare.kind, 'host');
  assert.equal(bare.packages, ['nftables', 'slirp4netns']);
  const noTun = diagnoseNetwork(host({ root: false, isWritable: () => false }));
  assert.equal(noTun.kind, 'host');
  assert.match(noTun.reasons[1] ?? '', /\/dev\/net\/tun/);
});

test.run();
