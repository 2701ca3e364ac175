import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatBlock, freeBlocks, PAIRS, pairOf } from './subnet.ts';

const HEADER =
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
const DEFAULT = 'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n';

test('the default route takes no block; another route takes the blocks that it overlaps', () => {
  assert.is(freeBlocks(HEADER + DEFAULT, 0).length, 256);
  // 10.201.5.0/24, in the second block of the first range.
  const narrow = freeBlocks(
    `${HEADER}${DEFAULT}eth1\t0005C90A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n`,
    0,
  ).map(formatBlock);
  assert.is(narrow.length, 255);
  assert.not(narrow.includes('10.201.4.0/22'));
  // 10.0.0.0/8
  const wide = freeBlocks(
    `${HEADER}tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n`,
    0,
  ).map(formatBlock);
  assert.is(wide.length, 128);
  assert.not(wide.some((block) => block.startsWith('10.')));
});

test('the caller chooses the first block', () => {
  assert.equal(
    [0, 1, 255, 256].map((start) => formatBlock(freeBlocks(HEADER, start)[0]!)),
    ['10.201.0.0/22', '10.201.4.0/22', '192.168.252.0/22', '10.201.0.0/22'],
  );
});

test('pairs of addresses do not overlap and stay in their block', () => {
  const [block = 0] = freeBlocks(HEADER, 0);
  assert.equal(pairOf(block, 0), { gateway: '10.201.0.1', address: '10.201.0.2' });
  assert.equal(pairOf(block, PAIRS - 1), { gateway: '10.201.3.253', address: '10.201.3.254' });
});

test.run();
