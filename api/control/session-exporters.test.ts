import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Metadata, status } from '@grpc/grpc-js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openKiln } from '../../builder/library.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { fileChanges } from '../../solver/llb/builder.ts';
import { marshalDefinition, toDefinition } from '../../solver/llb/definition.ts';
import { seal } from '../../solver/llb/draft.ts';
import { TestGrpcClient } from '../grpc/test-client-fixture.ts';
import { Control } from '../proto/control.gen.ts';
import { Exporter, type FindExportersRequest } from '../proto/exporter.gen.ts';
import { LLBBridge } from '../proto/gateway.gen.ts';
import { serve } from '../serve.ts';
import { type SessionMethod, sessionMethod, TestSession } from '../session/test-session-fixture.ts';

let directory: string;
let socket: string;
let running: AsyncDisposableStack;
test.before.each(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kiln-exporters-'));
  socket = join(directory, 's');
  running = new AsyncDisposableStack();
  const engine = running.use(openKiln({ root: join(directory, 'store') }));
  const addresses = [{ kind: 'unix', path: socket } as const];
  const bugs: unknown[] = [];
  running.defer(() => assert.equal(bugs, []));
  const tell = (error: unknown) => bugs.push(error);
  running.use(await serve({ engine, addresses, version: 'test', tell }));
});
test.after.each(async () => {
  await running.disposeAsync();
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

function graph(): Uint8Array {
  const mkfile = { path: '/f', mode: 0o640, data: Buffer.from('text'), timestamp: -1 };
  const change = fileChanges(undefined, [{ kind: 'mkfile', mkfile }], { name: 'writes /f' });
  return marshalDefinition(toDefinition(seal(change, hostPlatform())));
}

type Find = (asked: FindExportersRequest) => Promise<{
  exporters: { type: string; attrs: Record<string, string> }[];
}>;

/** Builds with a session that names exporters. Answers what was sent, and how it ended. */
async function built(
  ref: string,
  find: Find,
  more: readonly SessionMethod[] = [],
  request: MessageInitShape<typeof Control.method.solve.input> = {},
) {
  using client = new TestGrpcClient(socket);
  const sent = new Map<string, Buffer[]>();
  const received = (bytes: Uint8Array, headers: Metadata) => {
    const id = String(headers.get('buildkit-attachable-exporter-id'));
    sent.set(id, [...(sent.get(id) ?? []), Buffer.from(bytes)]);
  };
  using _session = new TestSession(
    socket,
    ref,
    [sessionMethod(Exporter.method.findExporters, find), ...more],
    [{ path: '/moby.filesync.v1.FileSend/DiffCopy', received }],
  );
  const asked = { ref, session: ref, definition: graph(), enableSessionExporter: true, ...request };
  const { exporterResponse } = await client.call(Control.method.solve, asked);
  return { exporterResponse, sent };
}

const OCI = { type: 'oci', attrs: { compression: 'zstd' } };

test('a client that has seen the result names outputs, and is told at the end', async () => {
  let seen: FindExportersRequest | undefined;
  let entries: string[] = [];
  const told: Record<string, string>[] = [];
  using client = new TestGrpcClient(socket);
  const find: Find = async (asked) => {
    seen = asked;
    const build = { 'buildkit-controlapi-buildid': 'a' };
    const read = { ref: asked.refs[0]!, dirPath: '/' };
    const listed = await client.call(LLBBridge.method.readDir, read, build);
    entries = listed.entries.map(({ path }) => path);
    return { exporters: [OCI] };
  };
  const finalize = sessionMethod(Exporter.method.finalizeExport, async (asked) => {
    told.push({ ...asked.exporterResponse });
    return {};
  });
  const exporters = [{ type: 'tar', attrs: {} }];
  const { exporterResponse, sent } = await built('a', find, [finalize], { exporters });
  assert.ok('containerimage.config' in seen!.metadata, Object.keys(seen!.metadata).join());
  assert.equal(entries, ['f']);
  // The one of the request, and after it the one of the session.
  assert.equal([...sent.keys()].sort(), ['0', '1']);
  assert.match(Buffer.concat(sent.get('1')!).toString('latin1'), /index\.json/);
  assert.match(exporterResponse['containerimage.digest'] ?? '', /^sha256:/);
  assert.equal(told, [{ ...exporterResponse }]);
});

test('a session without exporters, or that knows nothing of them, changes nothing', async () => {
  const none = await built('a', async () => ({ exporters: [] }));
  assert.equal([...none.sent.keys()], []);
  for (const code of [status.UNAVAILABLE, status.UNIMPLEMENTED]) {
    const { sent } = await built(`code ${code}`, () =>
      Promise.reject(Object.assign(new Error('no'), { code })),
    );
    assert.is(sent.size, 0);
  }
});

test('a session that refuses, or whose exporters are wrong, ends the build', async () => {
  using client = new TestGrpcClient(socket);
  const refusal = Object.assign(new Error('not today'), { code: status.PERMISSION_DENIED });
  const refused = await client.refused(built('a', () => Promise.reject(refusal)));
  assert.match(refused.details, /not today/);
  const exporters = [{ type: 'oci', attrs: { compression: 'none' } }];
  const wrong = await client.refused(built('b', async () => ({ exporters })));
  assert.match(wrong.details, /KILN_OUTPUT_INVALID/);
  const finalize = sessionMethod(Exporter.method.finalizeExport, () => Promise.reject(refusal));
  const late = built('c', async () => ({ exporters: [OCI] }), [finalize]);
  assert.match((await client.refused(late)).details, /not today/);
  const many = Array.from({ length: 101 }, () => OCI);
  const flood = await client.refused(built('d', async () => ({ exporters: many })));
  assert.match(flood.details, /too many exporters/);
  const alone = client.call(Control.method.solve, {
    ref: 'e',
    definition: graph(),
    enableSessionExporter: true,
  });
  assert.is((await client.refused(alone)).code, status.INVALID_ARGUMENT);
});

test.run();
