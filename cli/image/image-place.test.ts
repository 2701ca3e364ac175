import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parsePlace } from './image-place.ts';

test('a path ends at the first colon, unless an existing file has the colon in its name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-places-'));
  try {
    const at = (name: string) => join(directory, name);
    for (const name of ['plain', 'job:2', 'job:2/layout', 'a@b', 'sp ace,=#?'])
      mkdirSync(at(name), { recursive: true });
    for (const [text, path, tag] of [
      ['plain', 'plain', undefined],
      ['plain:v1', 'plain', 'v1'],
      ['new:v1', 'new', 'v1'],
      ['job:2', 'job:2', undefined],
      ['job:2:v1', 'job:2', 'v1'],
      ['job:2/layout:v1', 'job:2/layout', 'v1'],
      ['job:2/new:v1', 'job:2/new', 'v1'],
      ['job:2/new', 'job:2/new', undefined],
      ['a@b:v1', 'a@b', 'v1'],
      ['sp ace,=#?:v1', 'sp ace,=#?', 'v1'],
    ] as const) {
      for (const kind of ['oci', 'oci-archive'] as const)
        assert.equal(parsePlace(`${kind}:${at(text)}`), { kind, path: at(path), tag }, text);
    }
    assert.equal(parsePlace(`docker-archive:${at('job:2/x.tar')}:team/app:1`), {
      kind: 'docker-archive',
      path: at('job:2/x.tar'),
      name: 'docker.io/team/app:1',
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.run();
