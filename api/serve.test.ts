import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openKiln } from '../builder/library.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { fileChanges } from '../solver/llb/builder.ts';
import { marshalDefinition, toDefinition } from '../solver/llb/definition.ts';
import { seal } from '../solver/llb/draft.ts';
import { TestGrpcClient } from './grpc/test-client-fixture.ts';
import { Control } from './proto/control.gen.ts';
import { LLBBridge } from './proto/gateway.gen.ts';
import { Health } from './proto/health.gen.ts';
import { TraceService } from './proto/trace.gen.ts';
import { serve } from './serve.ts';

let directory: string;
let socket: string;
let bugs: unknown[];
let running: AsyncDisposableStack;
test.before.each(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kiln-serve-'));
  socket = join(directory, 's');
  bugs = [];
  running = new AsyncDisposableStack();
  const engine = running.use(openKiln({ root: join(directory, 'store') }));
  const addresses = [{ kind: 'unix', path: socket } as const];
  const tell = (error: unknown) => bugs.push(error);
  running.use(await serve({ engine, addresses, version: 'test', tell }));
});
test.after.each(async () => {
  await running.disposeAsync();
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

/** A graph that writes one file. */
function graph(text: string): Uint8Array {
  const mkfile = { path: '/f', mode: 0o640, data: Buffer.from(text), timestamp: -1 };
  const edge = seal(
    fileChanges(undefined, [{ kind: 'mkfile', mkfile }], { name: 'writes /f' }),
    hostPlatform(),
  );
  return marshalDefinition(toDefinition(edge));
}

test('only the owner and the group of the socket may connect', () => {
  assert.is(statSync(socket).mode & 0o777, 0o660);
});

test('a client drives a build by graphs, and looks into their results', async () => {
  using client = new TestGrpcClient(socket);
  const build = { 'buildkit-controlapi-buildid': 'ref1' };
  // The first calls may come before the build is begun.
  const ping = client.call(LLBBridge.method.ping, {}, build);
  const solving = client.call(Control.method.solve, { ref: 'ref1' });
  assert.ok((await ping).frontendApiCaps.some(({ id, enabled }) => id === 'readdir' && enabled));
  const solved = await client.call(
    LLBBridge.method.solve,
    { definition: graph('text'), allowResultReturn: true },
    build,
  );
  const { ref } = solved;
  const read = await client.call(LLBBridge.method.readFile, { ref, filePath: '/f' }, build);
  assert.is(Buffer.from(read.data).toString(), 'text');
  const range = { offset: 1n, length: 2n };
  const part = await client.call(LLBBridge.method.readFile, { ref, filePath: 'f', range }, build);
  assert.is(Buffer.from(part.data).toString(), 'ex');
  const { entries } = await client.call(LLBBridge.method.readDir, { ref, dirPath: '/' }, build);
  assert.equal(
    entries.map(({ path, mode, size }) => [path, mode, size]),
    [['f', 0o640, 4n]],
  );
  const none = client.call(LLBBridge.method.statFile, { ref, path: 'g' }, build);
  assert.is((await client.refused(none)).code, status.NOT_FOUND);
  const other = client.call(LLBBridge.method.readFile, { ref: 'x', filePath: 'f' }, build);
  assert.is((await client.refused(other)).code, status.NOT_FOUND);
  await client.call(LLBBridge.method.return, { result: solved.result! }, build);
  assert.equal((await solving).exporterResponse, {});
  assert.equal(bugs, []);
});

test('a probe ends at once, and an error that a client returns comes back to it', async () => {
  using client = new TestGrpcClient(socket);
  const probe = client.call(Control.method.solve, { ref: 'p', internal: true });
  await client.call(LLBBridge.method.return, {}, { 'buildkit-controlapi-buildid': 'p' });
  assert.equal((await probe).exporterResponse, {});
  const failing = client.refused(client.call(Control.method.solve, { ref: 'q' }));
  const error = { code: status.ABORTED, message: 'of the client', details: [] };
  await client.call(LLBBridge.method.return, { error }, { 'buildkit-controlapi-buildid': 'q' });
  const failed = await failing;
  assert.equal([failed.code, failed.details], [status.ABORTED, 'of the client']);
});

test('what is wrong in a request is an error of that call, and the server goes on', async () => {
  using client = new TestGrpcClient(socket);
  const solve = (request: MessageInitShape<typeof Control.method.solve.input>) =>
    client.refused(client.call(Control.method.solve, request));
  const garbage = await solve({ ref: 'a', definition: Buffer.from([1, 2, 3]) });
  assert.is(garbage.code, status.INVALID_ARGUMENT);
  assert.match(garbage.details, /KILN_LLB_MALFORMED/);
  const huge = await solve({ ref: 'b', definition: Buffer.alloc(17 << 20) });
  assert.is(huge.code, status.RESOURCE_EXHAUSTED);
  const frontend = await solve({ ref: 'c', frontend: 'x' });
  assert.match(frontend.details, /there is no frontend "x"/);
  const proxied = await solve({ ref: 'p', definition: graph('x'), proxyNetwork: true });
  assert.is(proxied.code, status.UNIMPLEMENTED);
  const exporters = [{ type: 'image', attrs: { compression: 'none' } }];
  const output = await solve({ ref: 'd', definition: graph('x'), exporters });
  assert.match(output.details, /KILN_OUTPUT_INVALID/);
  assert.is((await solve({ ref: '' })).code, status.INVALID_ARGUMENT);
  assert.is((await client.call(Health.method.check, {})).status, 1);
  assert.equal(bugs, []);
});

test('a client that watches is told when the server ends', async () => {
  using client = new TestGrpcClient(socket);
  const told = client.watch();
  assert.is((await told.next()).value, 1);
  await client.call(TraceService.method.export, {});
  const ending = running.disposeAsync();
  assert.is((await told.next()).value, 2);
  await ending;
});

test.run();
