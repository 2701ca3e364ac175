import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { violations } from './validate.ts';

const DESCRIPTOR = {
  mediaType: 'application/vnd.oci.image.config.v1+json',
  digest: `sha256:${'0'.repeat(64)}`,
  size: 2,
};
const MANIFEST = { schemaVersion: 2, config: DESCRIPTOR, layers: [DESCRIPTOR] };

test('a valid manifest passes', () => {
  assert.equal(violations(MANIFEST, 'manifest'), []);
});

test('each kind of error is found, with its place', () => {
  const wrong = (change: object) => violations({ ...MANIFEST, ...change }, 'manifest').join();
  assert.match(wrong({ schemaVersion: 1 }), /schemaVersion is below 2/);
  assert.match(wrong({ schemaVersion: '2' }), /schemaVersion is no integer/);
  assert.match(wrong({ layers: null }), /layers is no array/);
  assert.match(wrong({ layers: [] }), /layers has 0 items/);
  assert.match(wrong({ layers: [{ ...DESCRIPTOR, size: -1 }] }), /layers\[0\]\.size is below 0/);
  assert.match(
    wrong({ config: { ...DESCRIPTOR, digest: 'none' } }),
    /config\.digest does not match/,
  );
  assert.match(wrong({ annotations: { a: 1 } }), /annotations\.a is no string/);
  assert.match(violations({ layers: [] }, 'manifest').join(), /lacks schemaVersion.*lacks config/);
  const config = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } };
  assert.equal(violations({ ...config, config: { Cmd: null } }, 'config'), []);
  assert.match(
    violations({ ...config, config: { Cmd: 'sh' } }, 'config').join(),
    /Cmd fits 0 of 2/,
  );
  assert.match(
    violations({ ...config, created: 'today' }, 'config').join(),
    /created is no date-time/,
  );
  assert.match(
    violations({ ...config, rootfs: { type: 'other', diff_ids: [] } }, 'config').join(),
    /rootfs\.type is none of/,
  );
});

test.run();
