import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { configuredWorkers } from './workers-config.ts';

const directory = mkdtempSync(join(tmpdir(), 'kiln-workers-config-'));
test.after(() => rmSync(directory, { recursive: true }));

function configured(text: string) {
  const path = join(directory, 'kiln.toml');
  writeFileSync(path, text);
  return configuredWorkers(path);
}

test('builds have the workers of the configuration, and none without it', async () => {
  const none = { addresses: [], label: undefined, cacheMounts: false };
  assert.equal(await configuredWorkers(join(directory, 'absent.toml')), none);
  assert.equal(await configured('[registry]\n'), none);
  assert.equal(await configured('# no workers\n'), none);
  const large = '[workers]\naddresses = ["nats://a:4222"]\nlabel = "large"\n';
  const workers = { addresses: ['nats://a:4222'], label: 'large' };
  assert.equal(await configured(large), { ...workers, cacheMounts: false });
  assert.equal(await configured(`${large}cache-mounts = true\n`), {
    ...workers,
    cacheMounts: true,
  });
});

test('what is no list of addresses is told', async () => {
  for (const text of [
    'workers = 3\n',
    '[workers]\naddresses = "nats://a:4222"\n',
    '[workers]\naddresses = [1]\n',
    '[workers]\nlabel = 1\n',
    '[workers]\ncache-mounts = "yes"\n',
    '[workers\n',
  ]) {
    const error = await configured(text).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.instance(error, KilnError, text);
    assert.is((error as KilnError).code, 'KILN_ADDRESS_INVALID');
  }
});

test.run();
