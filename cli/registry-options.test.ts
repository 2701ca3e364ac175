import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registrySettings } from './registry-options.ts';

test('without verification every registry may use any certificate', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-registries-'));
  try {
    const file = join(directory, 'kiln.toml');
    writeFileSync(file, '[registry."a.example"]\n  mirrors = ["m.example"]\n');
    const env = { KILN_CONFIG: file };
    const { hosts } = await registrySettings(env, false);
    assert.is(hosts?.get('a.example')?.insecure, true);
    assert.equal(hosts?.get('a.example')?.mirrors, ['m.example']);
    assert.is(hosts?.get('b.example')?.insecure, true);
    const { hosts: verified } = await registrySettings(env);
    assert.is(verified?.get('a.example')?.insecure, false);
    assert.is(verified?.get('b.example'), undefined);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.run();
