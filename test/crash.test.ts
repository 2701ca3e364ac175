import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildConcurrently, killBuilds } from './soak/killing.ts';
import { runStorm } from './soak/storming.ts';

test('builds and prunes killed at random moments leave an intact store', async () => {
  const { killed } = await killBuilds({ count: 8, seed: 7 });
  assert.is(killed, 8);
});

test('builds of two processes in one store are right, with prunes at the same time', async () => {
  assert.is(await buildConcurrently({ processes: 2, rounds: 4, seed: 7 }), 8);
});

test('after kills, full disks, collections and repairs the store is intact', async () => {
  // KILN_SOAK=1 runs it for ten minutes with a new seed.
  const long = process.env['KILN_SOAK'] !== undefined;
  const seed = long ? Date.now() % 1e6 : 7;
  console.log(`storm: seed ${seed}`);
  const { built, killed } = await runStorm({ seconds: long ? 600 : 8, seed, rows: long ? 3 : 2 });
  assert.ok(built > 1 && killed > 2);
});

test.run();
