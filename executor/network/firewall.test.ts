import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { forwardObstacle, legacyObstacle, tableCommands } from './firewall.ts';

const list = (table: string, chain: string, hook: string, policy: string) =>
  `table ${table} {\n` +
  `\tchain ${chain} {\n` +
  `\t\ttype filter hook ${hook} priority filter; policy ${policy};\n` +
  '\t}\n' +
  '}\n';

test('a chain that accepts, or sees other packets, is not an obstacle', () => {
  assert.is(forwardObstacle(''), undefined);
  assert.is(forwardObstacle(list('ip filter', 'FORWARD', 'forward', 'accept')), undefined);
  assert.is(forwardObstacle(list('ip filter', 'INPUT', 'input', 'drop')), undefined);
  assert.is(forwardObstacle(list('ip6 filter', 'FORWARD', 'forward', 'drop')), undefined);
});

test('a chain that drops forwarded packets is named', () => {
  assert.is(
    forwardObstacle(
      list('ip nat', 'OUTPUT', 'output', 'accept') +
        list('ip filter', 'FORWARD', 'forward', 'drop'),
    ),
    'the chain FORWARD of the firewall table ip filter drops forwarded packets',
  );
  assert.match(forwardObstacle(list('inet filter', 'f', 'forward', 'drop')) ?? '', /inet filter/);
  assert.match(
    forwardObstacle(list('inet firewalld', 'filter_FORWARD', 'forward', 'accept')) ?? '',
    /firewalld/,
  );
});

test('rules of iptables-legacy count too', () => {
  const never = (): string => {
    throw new Error('iptables-legacy must not be run');
  };
  assert.is(legacyObstacle('', never), undefined);
  assert.is(legacyObstacle('nat\n', never), undefined);
  assert.is(
    legacyObstacle('nat\nfilter\n', () => '-P FORWARD ACCEPT\n'),
    undefined,
  );
  assert.match(
    legacyObstacle('filter\n', () => '-P FORWARD DROP\n-A FORWARD -j X\n') ?? '',
    /iptables-legacy drops/,
  );
  assert.match(legacyObstacle('filter\n', () => undefined) ?? '', /not installed/);
});

test("a process's table blocks traffic from outside and between steps", () => {
  const text = tableCommands('kiln_x', '10.201.0.0/22', 'kilnx');
  assert.match(text, /ip saddr 10\.201\.0\.0\/22 masquerade/);
  assert.match(text, /ip daddr 10\.201\.0\.0\/22 drop/);
  assert.match(text, /iifname "kilnx\*" ip daddr 10\.201\.0\.0\/22 drop/);
});

test.run();
