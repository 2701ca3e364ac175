import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fleet, type Load, simulate } from './simulate.ts';

const FLEET: Fleet = {
  workers: 10,
  slots: 1,
  storeBytes: 10e9,
  workerRate: 100e6,
  registryRate: 1e9,
};
const LOAD: Load = {
  buildsPerHour: 100,
  hours: 2,
  projects: 20,
  jobsPerBuild: 2,
  workSeconds: 10,
  cachedShare: 0.5,
  contentBytes: 500e6,
  deltaBytes: 0,
};
const COSTS = { dispatch: 0, collect: 0 };

test('the same seed gives the same numbers, and no build is lost', () => {
  const first = simulate(FLEET, LOAD, COSTS, 'affinity');
  assert.equal(simulate(FLEET, LOAD, COSTS, 'affinity'), first);
  assert.ok(first.builds > 150 && first.builds < 250, String(first.builds));
});

test('work goes to where its content is, and so less is moved', () => {
  const affinity = simulate(FLEET, LOAD, COSTS, 'affinity');
  const random = simulate(FLEET, LOAD, COSTS, 'random');
  assert.ok(affinity.affinity > random.affinity);
  assert.ok(affinity.gigabytesPerHour < random.gigabytesPerHour);
});

test('one worker with one job at a time takes what its work takes', () => {
  const still = { ...LOAD, buildsPerHour: 1, hours: 50, projects: 1, jobsPerBuild: 1 };
  const { waitSeconds, affinity, builds } = simulate(
    { ...FLEET, workers: 1 },
    still,
    COSTS,
    'random',
  );
  assert.ok(waitSeconds < 1);
  // Only the first job finds nothing.
  assert.ok(Math.abs(affinity - (builds - 1) / builds) < 1e-9);
});

test('a fleet with too much to do makes builds wait, and says so', () => {
  const { busy, waitSeconds } = simulate(
    { ...FLEET, workers: 1 },
    { ...LOAD, buildsPerHour: 1000 },
    COSTS,
    'affinity',
  );
  assert.ok(busy > 1);
  assert.ok(waitSeconds > 600);
});

test.run();
