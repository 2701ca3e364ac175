import type { MessageInitShape } from '@bufbuild/protobuf';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatPlatform } from '../../base/platform.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { Control } from '../proto/control.gen.ts';
import type { LLBBridge } from '../proto/gateway.gen.ts';
import { filesGraph, Served } from '../served-fixture.ts';

type Returned = MessageInitShape<typeof LLBBridge.method.return.input>;

let served: Served;
test.before(async () => {
  served = await Served.open();
});
test.after(async () => {
  assert.equal(served.bugs, []);
  await served[Symbol.asyncDispose]();
});

/** The warnings of a build that asks for the platforms `wanted`, as its client is told of them. */
async function warningsOf(returned: Returned, wanted?: string): Promise<string[]> {
  const ref = `v${Math.random()}`;
  const frontendAttrs = wanted === undefined ? {} : { platform: wanted };
  await served.drive({ frontendAttrs }, async () => returned, ref);
  const warnings: string[] = [];
  for await (const told of served.client.stream(Control.method.status, { ref }))
    warnings.push(...told.warnings.map(({ short }) => Buffer.from(short).toString()));
  return warnings;
}

const ref = (text: string) => ({ def: filesGraph({ '/platform': text }) });
const single: Returned = { result: { result: { case: 'ref', value: ref('one') } } };

/** A result of a ref for each platform. */
function several(...names: readonly string[]): Returned {
  const Platforms = names.map((ID) => {
    const [os, architecture] = ID.split('/');
    return { ID, Platform: { os, architecture } };
  });
  return {
    result: {
      result: {
        case: 'refs',
        value: { refs: Object.fromEntries(names.map((name) => [name, ref(name)])) },
      },
      metadata: { 'refs.platforms': Buffer.from(JSON.stringify({ Platforms })) },
    },
  };
}

const HOST = formatPlatform(hostPlatform());

test('a result for one platform is not what was asked for several', async () => {
  assert.equal(await warningsOf(single, 'linux/amd64,linux/arm64'), [
    'Multiple platforms requested but result is not multi-platform',
  ]);
  assert.equal(await warningsOf(single), []);
  assert.equal(await warningsOf(single, HOST), []);
  const config = { os: 'linux', architecture: 's390x' };
  const metadata = { 'containerimage.config': Buffer.from(JSON.stringify(config)) };
  const other: Returned = { result: { ...single.result!, metadata } };
  assert.equal(await warningsOf(other, 'linux/s390x'), []);
});

test('the platforms of a result are compared with those of the request', async () => {
  const both = several('linux/arm64', 'linux/amd64');
  assert.equal(await warningsOf(both, 'linux/amd64,linux/aarch64'), []);
  assert.equal(await warningsOf(both), [
    `Requested platforms ${HOST} do not match result platforms linux/amd64,linux/arm64`,
  ]);
  assert.equal(await warningsOf(several('linux/s390x'), 'linux/riscv64'), [
    'Requested platform "linux/riscv64" does not match result platform "linux/s390x"',
  ]);
});

test('a platform that is asked for twice, or is none, is told', async () => {
  const one = several('linux/arm64');
  assert.equal(await warningsOf(one, 'linux/arm64,linux/arm64/v8'), [
    'Duplicate platform result requested "linux/arm64/v8"',
  ]);
  const [invalid = ''] = await warningsOf(one, 'linux/*');
  assert.match(invalid, /^Invalid platform result requested "linux\/\*": .*wildcards/);
});

test('a build without a result has nothing to compare', async () => {
  const metadata = { 'frontend.told': Buffer.from('x') };
  assert.equal(await warningsOf({ result: { metadata } }, 'linux/amd64,linux/arm64'), []);
});

test.run();
