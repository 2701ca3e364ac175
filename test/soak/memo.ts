/**
 * `npm run soak -- memo [--count 500] [--seed N]`: changes in a random order, and builds after them
 * in a store that may recall them and in one that may not.
 */
import { parseArgs } from 'node:util';
import { startRegistry } from '../../registry/testing/registry.ts';
import { CHANGES, Twins } from '../memo-twins.ts';
import { createRandom } from './random.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '500' },
    seed: { type: 'string', default: `${Date.now() % 1e6}` },
  },
});
console.log(`seed ${values.seed}`);
const random = createRandom(Number(values.seed));
await using registry = await startRegistry();
await using twins = await Twins.create(registry.host);
let recalled = 0;
let builds = 0;
for (let count = 0; count < Number(values.count); count++) {
  const made: string[] = [];
  for (let more = 1 + random.below(2); more > 0; more--) {
    const change = CHANGES[random.below(CHANGES.length)]!;
    made.push(change.name);
    await change.make(twins);
  }
  console.log(`${count}: ${made.join(', ')}`);
  if (random.below(3) === 0) await twins.settle();
  for (let more = random.below(4); more >= 0; more--) {
    await new Promise((done) => setTimeout(done, random.below(200)));
    builds++;
    if (await twins.build()) recalled++;
  }
}
console.log(`${builds} builds, ${recalled} of them recalled: all showed and made the same`);
