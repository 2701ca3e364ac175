import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildBeside, killBuilds } from './soak/killing.ts';

test('builds and prunes killed at random moments leave a store that is right and sound', async () => {
  const { killed } = await killBuilds({ count: 8, seed: 7 });
  assert.is(killed, 8);
});

test('two rows of builds on one store with prunes beside them are all right', async () => {
  assert.is(await buildBeside({ processes: 2, rounds: 4, seed: 7 }), 8);
});

test.run();
