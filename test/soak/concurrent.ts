/** `npm run soak -- concurrent [--seconds 300] [--processes 4] [--seed N]`: see killing.ts. */
import { parseArgs } from 'node:util';
import { buildConcurrently } from './killing.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    processes: { type: 'string', default: '4' },
    seed: { type: 'string', default: `${Date.now() % 1e6}` },
  },
});
console.log(`seed ${values.seed}`);
const built = await buildConcurrently({
  processes: Number(values.processes),
  seconds: Number(values.seconds),
  seed: Number(values.seed),
  log: console.log,
});
console.log(
  `${built} builds by ${values.processes} rows beside prunes: all right, and the store sound`,
);
