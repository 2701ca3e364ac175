import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { configuredFallback } from './network-config.ts';

const directory = mkdtempSync(join(tmpdir(), 'kiln-network-config-'));
test.after(() => rmSync(directory, { recursive: true }));

function configured(text: string) {
  const path = join(directory, 'kiln.toml');
  writeFileSync(path, text);
  return configuredFallback(path);
}

test('networkFallback is host unless the configuration sets it', async () => {
  assert.is(await configuredFallback(join(directory, 'absent.toml')), 'host');
  assert.is(await configured(''), 'host');
  assert.is(await configured('[worker.oci]\ngc = true\n'), 'host');
  for (const value of ['host', 'none', 'refuse'])
    assert.is(await configured(`[worker.oci]\nnetworkFallback = "${value}"\n`), value);
  assert.is(await configured('[worker.containerd]\nnetworkFallback = "none"\n'), 'none');
});

test('an unknown networkFallback is an error, and never means the host network', async () => {
  for (const text of [
    '[worker.oci]\nnetworkFallback = "refused"\n',
    '[worker.oci]\nnetworkFallback = false\n',
    '[worker.oci\n',
  ]) {
    const error = await configured(text).catch((thrown: unknown) => thrown);
    assert.instance(error, KilnError, text);
    assert.is((error as KilnError).code, 'KILN_NETWORK');
  }
});

test.run();
