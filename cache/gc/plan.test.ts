import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { parseFilterFlags, parseFilters } from './filter.ts';
import type { Item } from './item.ts';
import { forgetsAllSteps, plan } from './plan.ts';
import {
  type Disk,
  defaultLimits,
  defaultPolicies,
  keepBytes,
  type PrunePolicy,
} from './policy.ts';

const DAY = 86_400_000;
const NOW = 1000 * DAY;
const DISK: Disk = { total: 1000, free: 500 };

function item(id: string, more: Partial<Item> = {}): Item {
  return {
    id,
    type: 'regular',
    parents: [],
    description: id,
    size: 100,
    created: 0,
    used: NOW - DAY,
    inUse: false,
    shared: false,
    mutable: false,
    garbage: false,
    fixed: false,
    content: {},
    ...more,
  };
}

function policy(more: Partial<PrunePolicy> = {}): PrunePolicy {
  return {
    name: '',
    filter: () => true,
    all: false,
    keepMs: 0,
    reserved: 0,
    maxUsed: 0,
    minFree: 0,
    ...more,
  };
}

function ids(items: readonly Item[], ...policies: PrunePolicy[]): string[] {
  return plan(items, policies, DISK, NOW).map((victim) => victim.item.id);
}

test('without a limit only items in use, shared, internal or part of the store stay', () => {
  const items = [
    item('free'),
    item('used', { inUse: true }),
    item('image', { shared: true }),
    item('internal', { type: 'internal' }),
    item('index', { type: 'internal', fixed: true }),
  ];
  assert.equal(ids(items, policy()), ['free']);
  assert.equal(ids(items, policy({ all: true })).sort(), ['free', 'internal']);
});

test('the longest unused item is removed first, and no more than the limit demands', () => {
  const items = [item('new', { used: NOW }), item('old', { used: 1 }), item('middle', { used: 5 })];
  assert.equal(ids(items, policy({ maxUsed: 200 })), ['old']);
  assert.equal(ids(items, policy({ maxUsed: 150 })), ['old', 'middle']);
  assert.equal(ids(items, policy({ maxUsed: 300 })), []);
});

test('an item that is kept protects the items it depends on, and is removed before them', () => {
  const items = [item('base', { used: 9 }), item('top', { used: 9, parents: ['base'] })];
  assert.equal(ids(items, policy({ maxUsed: 100 })), ['top']);
  assert.equal(ids(items, policy()), ['top', 'base']);
  assert.equal(ids([items[0]!, item('top', { parents: ['base'], inUse: true })], policy()), []);
});

test('a layer of an image protects those below it, unless all steps are forgotten', () => {
  const layer = 'l' as LayerId;
  const items = [
    item('below', { content: { layer } }),
    item('kept', { shared: true, parents: ['below'], content: { layer } }),
  ];
  assert.equal(ids(items, policy()), []);
  assert.equal(ids(items, policy({ all: true, keepMs: 1 })), []);
  assert.equal(ids(items, policy({ all: true })), ['below']);
});

test('a command with a filter that some layers do not match forgets no steps', () => {
  const items = [item('step', { content: { layer: 'l' as LayerId } }), item('mount')];
  const filtered = (filter: string) => policy({ all: true, filter: parseFilters([filter]) });
  assert.not(forgetsAllSteps(filtered('id==mount'), items));
  assert.ok(forgetsAllSteps(filtered('id==step'), items));
  assert.ok(forgetsAllSteps(policy({ all: true }), items));
  assert.not(forgetsAllSteps(policy({ all: true, maxUsed: 1 }), items));
});

test('an item that nothing refers to is removed by every collection, unless it is in use', () => {
  const items = [
    item('lost', { garbage: true }),
    item('busy', { garbage: true, inUse: true }),
    item('kept'),
  ];
  assert.equal(ids(items), ['lost']);
});

test('shared bytes do not count against a limit', () => {
  assert.equal(
    ids([item('image', { shared: true, size: 900 }), item('cache')], policy({ maxUsed: 100 })),
    [],
  );
});

test('several limits are combined as in BuildKit', () => {
  assert.is(keepBytes(policy(), 500, DISK), undefined);
  assert.is(keepBytes(policy({ maxUsed: 300 }), 500, DISK), 300);
  assert.is(keepBytes(policy({ maxUsed: 300, reserved: 400 }), 500, DISK), 400);
  // 100 bytes too few are free.
  assert.is(keepBytes(policy({ minFree: 600 }), 500, DISK), 400);
  assert.is(keepBytes(policy({ minFree: 600, maxUsed: 300 }), 500, DISK), 300);
  assert.is(keepBytes(policy({ minFree: 600, reserved: 450 }), 500, DISK), 450);
  assert.is(keepBytes(policy({ minFree: 100 }), 500, DISK), Number.POSITIVE_INFINITY);
  assert.is(keepBytes(policy({ reserved: 200 }), 500, DISK), 200);
});

test('the default policies first remove cache mounts that were unused for three days', () => {
  const disk = { total: 1e12, free: 9e11 };
  const items = [
    item('new mount', { type: 'exec.cachemount', size: 400e6 }),
    item('old mount', { type: 'exec.cachemount', size: 400e6, used: NOW - 3 * DAY }),
    item('old layer', { size: 400e6, used: NOW - 30 * DAY }),
  ];
  const victims = plan(items, defaultPolicies(defaultLimits(disk)), disk, NOW);
  assert.equal(
    victims.map(({ item, reason }) => `${item.id}: ${reason}`),
    ['old mount: not used for 48 h, the cache is larger than its limit of 512.0 MB (policy 1)'],
  );
});

test('filters of buildkitd.toml: commas join, several texts are alternatives', () => {
  const filter = parseFilters(['type==exec.cachemount,mutable', 'id~=^ab']);
  assert.ok(filter(item('x', { type: 'exec.cachemount', mutable: true })));
  assert.not(filter(item('x', { type: 'exec.cachemount' })));
  assert.ok(filter(item('abc')));
  assert.not(filter(item('cab')));
});

test('filters of the command line: KEY=VALUE, and until is a time', () => {
  const { filter, keepMs } = parseFilterFlags(['type=regular', 'inuse=false', 'until=24h']);
  assert.is(keepMs, DAY);
  assert.ok(filter(item('a')));
  assert.not(filter(item('a', { inUse: true })));
  assert.not(filter(item('a', { type: 'internal' })));
  assert.throws(() => parseFilterFlags(['colour=red']), /not a valid filter/);
  assert.throws(() => parseFilterFlags(['until=soon']), /not a valid duration/);
});

test.run();
