import { writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SCRATCH } from '../snapshotter.ts';
import { openStore } from '../store/root.ts';
import { openServices } from './services.ts';

// snapshotter.contract.ts runs this: it commits layers until it is killed.
const { snapshotter } = openServices(openStore(process.argv[2] ?? ''));
for (let number = 0; ; number++) {
  const active = await snapshotter.prepare(SCRATCH);
  writeFileSync(join(active.root, 'data'), `${number}\n`.repeat(5000));
  const { layers } = await active.commit();
  writeSync(1, `${layers[0]} ${number}\n`);
}
