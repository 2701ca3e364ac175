import { writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SCRATCH } from '../snapshotter.ts';
import { openContent } from '../store/content.ts';
import { openStore } from '../store/root.ts';
import { type LayerJobs, OverlaySnapshotter } from './snapshotter.ts';

// Run by snapshotter.contract.ts: commits layers until it is killed. It packs and unpacks nothing.
const none: LayerJobs = {
  describe: () => Promise.reject(new Error('not here')),
  unpack: () => Promise.reject(new Error('not here')),
  sync: () => Promise.resolve(),
};
const store = openStore(process.argv[2] ?? '');
const snapshotter = new OverlaySnapshotter(store, openContent(store), none);
for (let number = 0; ; number++) {
  const active = await snapshotter.prepare(SCRATCH);
  writeFileSync(join(active.root, 'data'), `${number}\n`.repeat(5000));
  const { layers } = await active.commit();
  writeSync(1, `${layers[0]} ${number}\n`);
}
