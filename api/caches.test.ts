import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry, type TestRegistry } from '../registry/testing/registry.ts';
import { Control } from './proto/control.gen.ts';
import { LLBBridge } from './proto/gateway.gen.ts';
import { filesGraph, Served } from './served-fixture.ts';

const missing = registryMissing();
if (missing) throw new Error(missing);

const { solve, readFile } = LLBBridge.method;
const GRAPH = filesGraph({ '/f': 'cached' });

let registry: TestRegistry;
test.before(async () => {
  registry = await startRegistry();
});
test.after(async () => {
  await registry[Symbol.asyncDispose]();
});

/** Runs `work` with a server whose store is empty. Returns what it asked the registry for. */
async function askedBy(work: (served: Served) => Promise<unknown>): Promise<string[]> {
  const before = (await registry.requests()).length;
  await using served = await Served.open();
  await work(served);
  assert.equal(served.bugs, []);
  return (await registry.requests()).slice(before);
}

/** True when a layer of the cache `name` was downloaded: its step did not run. */
const hasCome = (requests: readonly string[], name: string) =>
  requests.some((line) => line.startsWith(`GET /v2/${name}/manifests/`)) &&
  requests.filter((line) => line.startsWith(`GET /v2/${name}/blobs/`)).length >= 2;

async function writeCache(name: string): Promise<string> {
  const ref = `${registry.host}/${name}:1`;
  const exports = [{ type: 'registry', attrs: { ref, mode: 'max' } }];
  await askedBy(({ client }) =>
    client.call(Control.method.solve, { ref: 'w', definition: GRAPH, cache: { exports } }),
  );
  return ref;
}

test('a call that solves a graph may bring its own caches', async () => {
  const ref = await writeCache('call');
  const cacheImports = [
    { type: 'registry', attrs: { ref } },
    { type: 'unknown', attrs: {} },
    { type: 'local', attrs: { src: 'x', digest: `sha256:${'0'.repeat(64)}` } },
  ];
  const solving = (imports: typeof cacheImports) =>
    askedBy((served) =>
      served.drive({}, async (bridge) => {
        const asked = { definition: GRAPH, evaluate: true, cacheImports: imports };
        const solved = await bridge.call(solve, asked);
        const { data } = await bridge.call(readFile, { ref: solved.ref, filePath: '/f' });
        assert.is(Buffer.from(data).toString(), 'cached');
        return {};
      }),
    );
  assert.is(hasCome(await solving(cacheImports), 'call'), true);
  assert.equal(await solving([]), []);
});

test('caches of the build are used for what is solved on the way', async () => {
  const ref = await writeCache('build');
  const cache = { imports: [{ type: 'registry', attrs: { ref } }] };
  const requests = await askedBy((served) =>
    served.drive({ cache }, async (bridge) => {
      await bridge.call(solve, { definition: GRAPH, evaluate: true });
      return {};
    }),
  );
  assert.is(hasCome(requests, 'build'), true);
});

test('the first clients name caches by their references', async () => {
  const ref = `${registry.host}/old:1`;
  const exporters = [{ type: 'image', attrs: {} }];
  const request = { definition: GRAPH, exporters };
  const exportAttrsDeprecated = { mode: 'max' };
  await askedBy(({ client }) =>
    client.call(Control.method.solve, {
      ...request,
      ref: 'w',
      cache: { exportRefDeprecated: ref, exportAttrsDeprecated },
    }),
  );
  const requests = await askedBy(({ client }) =>
    client.call(Control.method.solve, {
      ...request,
      ref: 'r',
      cache: { importRefsDeprecated: [ref] },
    }),
  );
  assert.is(hasCome(requests, 'old'), true);
});

test('a cache that cannot be written is an error, unless the client says otherwise', async () => {
  const cache = (more: Readonly<Record<string, string>>) => ({
    exports: [{ type: 'registry', attrs: { ref: '127.0.0.1:1/none:1', ...more } }],
  });
  await askedBy(async (served) => {
    const request = { definition: GRAPH };
    const failing = { ...request, ref: 'f', cache: cache({}) };
    const { text } = await served.refused(served.client.call(Control.method.solve, failing));
    assert.match(text, /127\.0\.0\.1:1/);
    const ignored = { ...request, ref: 'i', cache: cache({ 'ignore-error': 'true' }) };
    await served.client.call(Control.method.solve, ignored);
  });
});

test.run();
