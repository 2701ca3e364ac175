/** `npm run soak -- storm [--seconds 600] [--rows 3] [--seed N]`: see storming.ts. */
import { parseArgs } from 'node:util';
import { runStorm } from './storming.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    rows: { type: 'string', default: '3' },
    seed: { type: 'string', default: `${Date.now() % 1e6}` },
  },
});
console.log(`seed ${values.seed}`);
const tally = await runStorm({
  seconds: Number(values.seconds),
  rows: Number(values.rows),
  seed: Number(values.seed),
  log: console.log,
});
console.log(
  `${tally.built} builds, ${tally.killed} commands killed: the store is whole, sound and at rest`,
);
