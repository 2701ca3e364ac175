import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildManyServed } from './soak/serving.ts';

/** `npm run soak -- serve` makes a thousand builds. */
test('after thirty builds a server holds what it held after ten, and little memory', async () => {
  const { idle, late, after } = await buildManyServed({ builds: 20, seed: 7 });
  assert.ok(idle < 80, `an idle server holds ${idle} MB`);
  assert.ok(late < 150, `after builds a server holds ${late} MB`);
  assert.equal([after.mounts, after.groups, after.children], [[], [], []]);
});

test.run();
