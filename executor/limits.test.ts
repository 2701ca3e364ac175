import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  hasLimits,
  legacySettings,
  type ResourceLimits,
  runtimeResources,
  unifiedSettings,
} from './limits.ts';

const MIB = 1 << 20;
const ALL: ResourceLimits = {
  memory: 64 * MIB,
  memorySwap: 96 * MIB,
  cpuQuota: 150_000,
  cpuPeriod: 100_000,
  cpuShares: 512,
  cpusetCpus: '0-1',
  cpusetMems: '0',
  pids: 50,
};
const shown = (settings: ReturnType<typeof unifiedSettings>) =>
  settings.map(({ file, value }) => `${file}=${value}`);

test('each limit has its file on v2, where swap excludes memory', () => {
  assert.equal(shown(unifiedSettings(ALL)), [
    'memory.max=67108864',
    'memory.swap.max=33554432',
    'cpu.max=150000 100000',
    'cpu.weight=20',
    'cpuset.cpus=0-1',
    'cpuset.mems=0',
    'pids.max=50',
  ]);
});

test('each limit has its file on v1; swap includes memory, and the runtime is a process', () => {
  assert.equal(shown(legacySettings(ALL)), [
    'memory.limit_in_bytes=67108864',
    'memory.memsw.limit_in_bytes=100663296',
    'cpu.cfs_period_us=100000',
    'cpu.cfs_quota_us=150000',
    'cpu.shares=512',
    'cpuset.cpus=0-1',
    'cpuset.mems=0',
    'pids.max=51',
  ]);
});

test('swap defaults to the size of memory, and -1 does not limit it', () => {
  assert.equal(shown(unifiedSettings({ memory: MIB })), [
    'memory.max=1048576',
    'memory.swap.max=1048576',
  ]);
  assert.equal(shown(unifiedSettings({ memory: MIB, memorySwap: -1 })), [
    'memory.max=1048576',
    'memory.swap.max=max',
  ]);
  assert.equal(
    shown(legacySettings({ memory: MIB, memorySwap: -1 }))[1],
    'memory.memsw.limit_in_bytes=-1',
  );
});

test('absent limits are not written', () => {
  assert.equal(unifiedSettings({}), []);
  assert.equal(legacySettings({}), []);
  assert.equal(runtimeResources({}), {});
  assert.not(hasLimits({}));
  assert.not(hasLimits(undefined));
  assert.not(hasLimits({ memory: undefined }));
  assert.equal(runtimeResources({ pids: 3, cpuShares: 2 }), {
    cpu: { shares: 2 },
    pids: { limit: 3 },
  });
});

test.run();
