import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Engine } from '../../builder/engine.ts';
import { defaultLimits, defaultPolicies } from '../../cache/gc/policy.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { workerFilter } from './worker-filter.ts';
import { describedWorkers, serverVersion } from './workers.ts';

const store = { root: '/store', warn: (sentence: string) => assert.unreachable(sentence) };
const ENGINE = { store, settings: { searchPath: '/nowhere' } } as unknown as Engine;

test('the worker tells platforms, policies and labels', async () => {
  const policies = defaultPolicies(defaultLimits({ total: 1000, free: 500 }));
  const labels = { disk: 'fast' };
  const version = serverVersion('1');
  const [worker] = await describedWorkers(ENGINE, version, { policies, labels });
  const { os, architecture } = worker!.platforms[0]!;
  assert.equal([os, architecture], [hostPlatform().os, hostPlatform().architecture]);
  assert.is(worker!.labels['disk'], 'fast');
  assert.is(worker!.labels['org.mobyproject.buildkit.worker.executor'], 'oci');
  assert.equal(worker!.gcPolicy[0]!.filters, [
    'type==source.local',
    'type==exec.cachemount',
    'type==source.git.checkout',
  ]);
  assert.is(worker!.gcPolicy[0]!.keepDuration, 48n * 3600n * 1_000_000_000n);
  assert.equal(
    worker!.gcPolicy.map(({ all, maxUsedSpace }) => [all, maxUsedSpace]),
    [
      [false, 512_000_000n],
      [false, 750n],
      [false, 750n],
      [true, 750n],
    ],
  );
});

test('workers are asked for by their ids and labels', async () => {
  const [worker] = await describedWorkers(ENGINE, serverVersion('1'), { labels: { 'a.b': 'c' } });
  const matches = (...texts: string[]) => workerFilter(texts)(worker!);
  assert.ok(matches());
  assert.ok(matches(`id==${worker!.id}`) && !matches('id==x') && matches('id==x', 'id'));
  assert.ok(matches('labels."a.b"==c') && matches('labels.a.b') && !matches('labels.toString'));
  assert.not(matches('labels."a.b"==c,labels.x'));
  assert.throws(() => matches('name==x'), /not a filter/);
});

test.run();
