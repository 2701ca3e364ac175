import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { endpointsOf } from './hosts.ts';
import { trusting } from './trusted-hosts.ts';

test('a host that is trusted may use plain http and any certificate, and no other may', () => {
  const mirrored = { mirrors: ['mirror.example'], http: false, insecure: false, ca: ['PEM'] };
  const trusted = new Set<string>();
  const { hosts } = trusting({ hosts: new Map([['a.example', mirrored]]) }, trusted);
  const ends = (host: string) =>
    endpointsOf(host, 'pull', hosts!).map(({ origin, tls, plainFallback }) => [
      origin,
      tls.verify,
      plainFallback,
    ]);
  const own = ['https://a.example', true, false];
  const mirror = ['https://mirror.example', true, false];
  assert.equal(ends('a.example'), [mirror, own]);
  // Hosts may be added while the options are in use.
  trusted.add('a.example').add('b.example');
  assert.equal(ends('a.example'), [mirror, ['https://a.example', false, true]]);
  assert.equal(ends('b.example'), [['https://b.example', false, true]]);
  assert.equal(ends('c.example'), [['https://c.example', true, false]]);
});

test.run();
