import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LayerId } from '../snapshotter.ts';
import { bootId } from '../store/owner.ts';
import { openStore } from '../store/root.ts';
import { layerSizes } from './collection.ts';
import { LayerTable } from './layers.ts';

test('a file that two layers share counts for the one used last, in either order', () => {
  const dir = mkdtempSync(join(tmpdir(), 'kiln-sizes-'));
  using store = openStore(join(dir, 'store'));
  const table = new LayerTable(store);
  const add = (id: string, fill: (files: string) => void) => {
    const directory = store.scratchPath('layer');
    mkdirSync(join(directory, 'fs'), { recursive: true });
    fill(join(directory, 'fs'));
    table.add({ id: id as LayerId, alone: true, created: Date.now(), boot: bootId() }, directory);
    return id as LayerId;
  };
  try {
    const first = add('1'.repeat(32), (files) => {
      writeFileSync(join(files, 'own'), Buffer.alloc(100_000, 1));
      writeFileSync(join(files, 'both'), Buffer.alloc(1_000_000, 2));
    });
    assert.ok(layerSizes(store).get(first)! > 1_100_000);
    const second = add('2'.repeat(32), (files) =>
      linkSync(join(table.directories(first)[0]!, 'both'), join(files, 'both')),
    );
    store.db.run('UPDATE layers SET used = used + 1000 WHERE id = ?', second);
    const sizes = layerSizes(store);
    assert.ok(sizes.get(second)! > 1_000_000, String(sizes.get(second)));
    assert.ok(sizes.get(first)! < 200_000 && sizes.get(first)! > 100_000, String(sizes.get(first)));
    table.remove(second);
    assert.ok(
      layerSizes(store).get(first)! > 1_100_000,
      'a file that is no longer shared counts for its only layer',
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test.run();
