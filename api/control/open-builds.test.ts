import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OpenBuilds } from './open-builds.ts';

const test = suite('open builds');

test.before.each(() => mock.timers.enable({ apis: ['setTimeout'] }));
test.after.each(() => mock.timers.reset());

test('a server is quiet once, some time after its last build', () => {
  let quiet = 0;
  const builds = new OpenBuilds(() => quiet++);
  for (let count = 0; count < 20; count++) {
    const build = builds.begin(`build ${count}`);
    mock.timers.tick(700);
    builds.end(build);
    mock.timers.tick(700);
  }
  assert.is(quiet, 0, 'another build came each time');
  mock.timers.tick(60_000);
  assert.is(quiet, 1);
});

test('a server is quiet when it has had no build at all', () => {
  let quiet = 0;
  new OpenBuilds(() => quiet++);
  mock.timers.tick(60_000);
  assert.is(quiet, 1);
});

test.run();
