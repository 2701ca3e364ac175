import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { readProvenanceEnv } from './provenance-env.ts';

function reads(files: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-provenance-'));
  try {
    mkdirSync(join(directory, 'not-a-file.json'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    return readProvenanceEnv(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('the fields of all files of JSON are one environment, and the last file wins', () => {
  const files = {
    'b.json': '{ "runner": "two", "pool": { "size": 3 } }',
    'a.json': '{ "runner": "one", "zone": "x" }',
    'c.txt': 'no JSON',
  };
  assert.equal(reads(files), { runner: 'two', zone: 'x', pool: { size: 3 } });
  assert.equal(readProvenanceEnv('/nonexistent/provenance.d'), {});
});

test('a file that is no object, or that sets what provenance has of itself, is refused', () => {
  for (const [text, why] of [
    ['{', /a\.json is not JSON: /],
    ['["x"]', /a\.json is not a JSON object$/],
    ['{ "platform": "vax" }', /a\.json sets platform, /],
  ] as const)
    assert.throws(
      () => reads({ 'a.json': text }),
      (error: unknown) =>
        error instanceof KilnError &&
        error.code === 'KILN_SERVER_CONFIG_INVALID' &&
        why.test(error.message),
    );
});

test.run();
