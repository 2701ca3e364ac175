import { globSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startRegistry } from '../registry/testing/registry.ts';
import { settled } from './held.ts';
import { RawClient, silent } from './raw-client.ts';
import { mountsBelow, processesWith } from './rig.ts';
import { ServeRig } from './serve-rig.ts';
import { askingRegistry, begin, stagesWith } from './stages.ts';

test('a server that is killed in a step tells its client, and leaves a whole store', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig, pid } = serve;
  const mark = `sleep ${3600 + Math.floor(Math.random() * 1e6)}`;
  const context = rig.write('c', {
    Dockerfile: `FROM busybox\nCOPY f /\nRUN cat /f\nRUN echo up; ${mark}\n`,
    f: 'kept',
  });
  let isKilled = false;
  const told = await serve.buildx(['build', '--progress=plain', context], {
    expect: 1,
    watch: (output) => {
      // Called with all output again and again, also after the server has gone.
      if (isKilled || !/^#\d+ [\d.]+ up$/m.test(output)) return;
      isKilled = true;
      process.kill(pid, 'SIGKILL');
    },
  });
  assert.match(told.stderr, /ERROR/);
  const left = await settled(() => {
    const found = [...processesWith(mark), ...mountsBelow(rig.store)];
    return found.length > 0 ? found.join('; ') : undefined;
  });
  assert.is(left, undefined);
  // What had ended is cached for whoever builds next.
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY f /\nRUN cat /f\n' });
  assert.match(await rig.build('c', '-t', 'x'), /^#\d+ CACHED$/m);
  await rig.kiln(['fsck'], { expect: 0 });
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const)
  test(`a store stays whole when its server gets ${signal} at each stage`, async () => {
    await using serve = await ServeRig.create('busybox');
    await using registry = await askingRegistry();
    const { rig, pid, socket } = serve;
    using client = new RawClient(socket);
    const waiting = stagesWith(registry.name).map((stage, at) => ({
      ...stage,
      ...begin(client, stage, `ref${at}`, silent),
    }));
    for (const { asked } of waiting) await asked;
    if (signal === 'SIGKILL') process.kill(pid, signal);
    const ended = serve.end();
    for (const { what, answer } of waiting) assert.is.not((await answer).code, 0, what);
    assert.is(await ended, signal === 'SIGTERM' ? 0 : null);
    rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo a > /a\n' });
    await rig.build('c', '-t', 'x');
    await rig.kiln(['fsck'], { expect: 0 });
    await rig.kiln(['prune', '--all', '--force'], { expect: 0 });
    const left = ['tmp', 'leases', 'layers/active']
      .flatMap((name) => globSync(`${rig.store}/${name}/*`))
      .filter((path) => !/\/(?:tmp\/locks|leases\/gate)$/.test(path));
    assert.equal([...left, ...mountsBelow(rig.store)], []);
  });

/** A registry that takes no end of an upload. `uploading` settles when one is under way. */
async function stuckRegistry() {
  const uploading = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    request.resume();
    if (request.method === 'HEAD') return void response.writeHead(404).end();
    if (request.method === 'POST')
      return void response.writeHead(202, { location: `${request.url}1` }).end();
    if (request.method === 'GET') return void response.writeHead(200).end('{}');
    uploading.resolve();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    name: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    uploading: uploading.promise,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const)
  test(`a push that is under way at ${signal} is told as failed, and done again`, async () => {
    await using serve = await ServeRig.create();
    await using registry = await stuckRegistry();
    const { rig, pid } = serve;
    const context = rig.write('c', { Dockerfile: 'FROM scratch\nCOPY f /\n', f: 'f' });
    const args = [
      'build',
      '--progress=plain',
      '--push',
      '-t',
      `${registry.name}/pushed:1`,
      context,
    ];
    const pushing = serve.buildx(args, { expect: undefined });
    await Promise.race([registry.uploading, pushing]);
    if (signal === 'SIGKILL') process.kill(pid, signal);
    const ended = serve.end();
    const { code, stderr } = await pushing;
    assert.ok(code);
    assert.match(stderr, /ERROR/);
    assert.is(await ended, signal === 'SIGTERM' ? 0 : null);
    await rig.kiln(['fsck'], { expect: 0 });
    await using whole = await startRegistry();
    const name = `${whole.host}/pushed:1`;
    const told = await rig.build('c', '--push', '-t', name);
    assert.match(told, /^#\d+ CACHED$/m);
    await rig.kiln(['imagetools', 'inspect', name], { expect: 0 });
    assert.equal(mountsBelow(rig.store), []);
  });

test('two servers share one store, and the end of one is nothing to the other', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  await using other = await serve.beside();
  const clients = new DisposableStack();
  using _ended = clients;
  const mark = `sleep ${3600 + Math.floor(Math.random() * 1e6)}`;
  const build = (socket: string, dockerfile: string) => {
    const stage = { what: dockerfile, dockerfile, answers: () => ({}) };
    const client = clients.use(new RawClient(socket));
    return begin(client, stage, `ref${Math.random()}`, silent).answer;
  };
  const text = (name: string) => `FROM busybox\nCOPY f /\nRUN cat /f > /${name}\n`;
  const together = (names: readonly string[]) =>
    Promise.all(
      names.flatMap((name) =>
        [serve.socket, other.socket].map((socket) => build(socket, text(name))),
      ),
    );
  for (const { code, text } of await together(['a', 'a', 'b', 'c'])) assert.is(code, 0, text);
  const step = build(other.socket, `FROM busybox\nRUN ${mark}\n`);
  const begun = await settled(() => (processesWith(mark).length > 0 ? undefined : 'no step'));
  assert.is(begun, undefined);
  const meanwhile = build(serve.socket, text('d'));
  process.kill(other.pid, 'SIGKILL');
  assert.is((await step).code, undefined);
  assert.is((await meanwhile).code, 0);
  assert.is((await build(serve.socket, text('e'))).code, 0);
  const left = await settled(() => processesWith(mark).join('; ') || undefined);
  assert.is(left, undefined);
  await rig.kiln(['fsck'], { expect: 0 });
  assert.is(await serve.end(), 0);
});

test('builds of a server and of processes, and prunes, share one store', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const text = (name: string) => `FROM busybox\nCOPY f /\nRUN cat /f > /${name}\n`;
  for (const name of ['a', 'b', 'c', 'd']) rig.write(name, { Dockerfile: text(name), f: name });
  await Promise.all([
    serve.build(['-o', 'out', 'a']),
    serve.build(['-o', 'type=oci,dest=b.tar', 'b']),
    rig.build('c', '-t', 'c'),
    rig.build('d', '-t', 'd'),
    rig.kiln(['prune', '--force'], { expect: 0 }),
    rig.kiln(['prune', '--force', '--max-used-space', '1m'], { expect: 0 }),
  ]);
  for (const name of ['c', 'd'])
    assert.is((await rig.kiln(['run', name, 'cat', `/${name}`], { expect: 0 })).stdout, name);
  await rig.kiln(['fsck'], { expect: 0 });
  assert.is(await serve.end(), 0);
});

test.run();
