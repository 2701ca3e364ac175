import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createContentHasher } from '../contenthash/hasher.ts';
import { compareIndexes, contentIndex } from './contentindex.ts';

test('an index shows changed, added and removed files and modes, but not times', async () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-index-'));
  const index = async () => {
    const hasher = createContentHasher({ directory: undefined });
    return contentIndex([
      await hasher.read({ root }, { paths: ['/src'], wildcard: false, followLinks: true }),
    ]);
  };
  try {
    mkdirSync(join(root, 'src/deep'), { recursive: true });
    for (const name of ['a', 'b', 'deep/c', 'gone']) writeFileSync(join(root, 'src', name), name);
    const before = await index();
    writeFileSync(join(root, 'src/a'), 'a');
    assert.equal(compareIndexes(before, await index()), {
      changed: [],
      attributes: [],
      added: [],
      removed: [],
    });
    writeFileSync(join(root, 'src/deep/c'), 'other');
    chmodSync(join(root, 'src/b'), 0o600);
    assert.equal(compareIndexes(before, await index()), {
      changed: ['src/deep/c'],
      attributes: ['src/b'],
      added: [],
      removed: [],
    });
    renameSync(join(root, 'src/gone'), join(root, 'src/new'));
    assert.equal(compareIndexes(before, await index()), {
      changed: ['src/deep/c'],
      attributes: ['src/b'],
      added: ['src/new'],
      removed: ['src/gone'],
    });
    mkdirSync(join(root, 'src/many'));
    const name = (file: number) => `src/many/f${1000 + file}`;
    for (let file = 0; file < 600; file++) writeFileSync(join(root, name(file)), '');
    const many = await index();
    for (const file of [3, 255, 599]) writeFileSync(join(root, name(file)), 'other');
    chmodSync(join(root, name(256)), 0o600);
    assert.equal(compareIndexes(many, await index()), {
      changed: [3, 255, 599].map(name),
      attributes: [name(256)],
      added: [],
      removed: [],
    });
    assert.equal(compareIndexes(Buffer.alloc(0), Buffer.alloc(2)), {
      changed: [],
      attributes: [],
      added: [],
      removed: [],
    });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test.run();
