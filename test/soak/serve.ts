/** `npm run soak -- serve [--builds 1000] [--seed N]`: see serving.ts. */
import { parseArgs } from 'node:util';
import { buildManyServed } from './serving.ts';

const { values } = parseArgs({
  options: {
    builds: { type: 'string', default: '990' },
    seed: { type: 'string', default: `${Date.now() % 1e6}` },
  },
});
console.log(`seed ${values.seed}`);
const { idle, late, after } = await buildManyServed({
  builds: Number(values.builds),
  seed: Number(values.seed),
  log: console.log,
});
console.log(
  `${after.descriptors.length} descriptors, ${after.threads} threads, ${after.mounts.length} ` +
    `mounts, ${after.groups.length} groups: no more than after the first builds`,
);
if (idle >= 80) throw new Error(`an idle server holds ${idle} MB`);
if (late >= 150) throw new Error(`after builds a server holds ${late} MB`);
