/** `npm run soak -- crash [--count 300] [--seed N]`: see killing.ts. */
import { parseArgs } from 'node:util';
import { killBuilds } from './killing.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '300' },
    seed: { type: 'string', default: `${Date.now() % 1e6}` },
  },
});
console.log(`seed ${values.seed}`);
const { killed, ended } = await killBuilds({
  count: Number(values.count),
  seed: Number(values.seed),
  log: console.log,
});
console.log(
  `${killed} builds killed, ${ended} ended before; the store was right and sound each time ` +
    'it was looked at',
);
