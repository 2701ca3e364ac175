import { create } from '@bufbuild/protobuf';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatPlatform } from '../../base/platform.ts';
import { ResultSchema } from '../proto/gateway.gen.ts';
import { Refs } from './refs.ts';
import { resultMessage } from './result-messages.ts';
import { returnedTargets } from './returned-result.ts';

const PLATFORMS = ['s390x', 'amd64', 'arm64', 'riscv64'].map((architecture) => ({
  os: 'linux',
  architecture,
}));

test('platforms are exported in the order of the request, in whatever order they return', () => {
  const refs = new Refs();
  const targets = PLATFORMS.map((platform) => ({
    platform,
    edge: undefined,
    config: { ...platform, config: {}, history: [] },
  }));
  const { metadata, result } = resultMessage({ targets }, refs);
  assert.ok(result.case === 'refs');
  const entries = Object.entries(result.value.refs).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const returned = create(ResultSchema, {
    metadata,
    result: { case: 'refs', value: { refs: Object.fromEntries(entries) } },
  });
  assert.equal(
    returnedTargets(returned, refs).map(({ platform }) => formatPlatform(platform)),
    PLATFORMS.map(formatPlatform),
  );
});

test.run();
