import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseGcPolicies, readGcPolicies } from './gc-config.ts';

const DISK = { total: 1000e9, free: 500e9 };

test('without a configuration there are four default policies', async () => {
  const policies = await readGcPolicies('/nonexistent/kiln.toml', DISK);
  assert.equal(
    policies?.map(({ name, all, reserved, maxUsed, minFree }) => ({
      name,
      all,
      reserved,
      maxUsed,
      minFree,
    })),
    [
      { name: 'policy 1', all: false, reserved: 0, maxUsed: 512e6, minFree: 0 },
      { name: 'policy 2', all: false, reserved: 10e9, maxUsed: 750e9, minFree: 200e9 },
      { name: 'policy 3', all: false, reserved: 10e9, maxUsed: 750e9, minFree: 200e9 },
      { name: 'policy 4', all: true, reserved: 10e9, maxUsed: 750e9, minFree: 200e9 },
    ],
  );
});

test('policies are read in the form of buildkitd.toml', async () => {
  const text = `
[worker.oci]
  gc = true
  [[worker.oci.gcpolicy]]
    keepBytes = 1000
    keepDuration = "48h"
    filters = ["type==source.local"]
  [[worker.oci.gcpolicy]]
    all = true
    maxUsedSpace = "10%"
    minFreeSpace = "1GB"
    keepDuration = 60
`;
  const [first, second] = (await parseGcPolicies(text, 'k.toml', DISK))!;
  assert.is(first?.reserved, 1000);
  assert.is(first?.keepMs, 48 * 3_600_000);
  assert.is(second?.all, true);
  assert.is(second?.maxUsed, 100e9);
  assert.is(second?.minFree, 2 ** 30);
  assert.is(second?.keepMs, 60_000);
});

test('gc = false switches collection off, and one limit replaces all default limits', async () => {
  assert.is(await parseGcPolicies('[worker.oci]\ngc = false\n', 'k.toml', DISK), undefined);
  const policies = await parseGcPolicies('[worker.oci]\ngckeepstorage = "5GB"\n', 'k.toml', DISK);
  assert.equal(
    [policies?.[1]?.reserved, policies?.[1]?.maxUsed, policies?.[1]?.minFree],
    [5 * 2 ** 30, 0, 0],
  );
});

test('the error for an invalid configuration names the file', async () => {
  for (const text of [
    '[worker]\noci = 3\n',
    '[[worker.oci.gcpolicy]]\nfilters = "x"\n',
    '[worker.oci]\nmaxUsedSpace = "lots"\n',
    '[worker.oci]\ngc = "no"\n',
    '[[worker.oci.gcpolicy]]\nmaxUsedSpce = "1GB"\n',
    '[',
  ]) {
    const error = await parseGcPolicies(text, 'k.toml', DISK).catch((caught: unknown) => caught);
    assert.match(String(error), /k\.toml is not valid/, text);
  }
});

test.run();
