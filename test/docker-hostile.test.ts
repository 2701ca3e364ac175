import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createGzip, gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { serveInner, unaryAnswer } from '../api/grpc/inner-server.ts';
import { Secrets } from '../api/proto/secrets.gen.ts';
import { type Asked, ask, DockerRig } from './docker-rig.ts';
import { DOCKER, ServeRig } from './serve-rig.ts';
import { until } from './until.ts';

/*
 * Clients of Docker's socket that send too much, lie, hang up, or ask for what is not theirs.
 */

/** What the processes of a store have in their temporary places. */
function scratchOf(rig: { path(name: string): string }): readonly string[] {
  const names = readdirSync(rig.path('store/tmp'), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.includes('/') && !name.startsWith('locks/'));
}

function tarOf(rig: { path(name: string): string }, directory: string): Buffer {
  return execFileSync('tar', ['-c', '-C', rig.path(directory), '.'], { maxBuffer: 8 << 20 });
}

/** Sends a body piece by piece until the server has answered. */
async function pour(
  socketPath: string,
  path: string,
  pieces: Iterable<Buffer>,
  isPacked: boolean,
): Promise<{ readonly status: number; readonly text: string }> {
  const out = request({ socketPath, method: 'POST', path, headers: { host: 'd' }, agent: false });
  // A server that has answered need not read what still comes.
  out.on('error', () => {});
  const answered = once(out, 'response') as Promise<[IncomingMessage]>;
  let isAnswered = false;
  void answered.then(() => (isAnswered = true));
  const packer = isPacked ? createGzip({ level: 1 }) : undefined;
  packer?.pipe(out);
  for (const piece of pieces) {
    if (isAnswered) break;
    const to = packer ?? out;
    if (!to.write(piece)) await Promise.race([once(to, 'drain'), answered]);
  }
  const [answer] = await answered;
  let text = '';
  for await (const chunk of answer) text += chunk;
  out.destroy();
  return { status: answer.statusCode ?? 0, text };
}

/** The first header of an archive with one file of so many bytes, and zeros without an end. */
function* endless(): Generator<Buffer> {
  const header = execFileSync('python3', [
    '-c',
    `import sys, tarfile
info = tarfile.TarInfo('zeros'); info.size = 1 << 40
sys.stdout.buffer.write(info.tobuf(tarfile.GNU_FORMAT))`,
  ]);
  yield header;
  const zeros = Buffer.alloc(1 << 20);
  for (;;) yield zeros;
}

test('archives without an end, and those that unpack to too much, are stopped', async () => {
  // But for a gigabyte, this disk has 64 MB.
  await using serve = await ServeRig.with((rig) => {
    mkdirSync(rig.store);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1088m', 'tmpfs', rig.store]);
    return ['--docker', `unix://${rig.path('docker.sock')}`];
  });
  const { rig } = serve;
  try {
    const socket = rig.path('docker.sock');
    for (const [path, isPacked] of [
      ['/build', false],
      ['/build', true],
      ['/images/load', false],
      ['/images/create?fromSrc=-&repo=much', false],
    ] as const) {
      const { status, text } = await pour(socket, path, endless(), isPacked);
      assert.is(status, 413, `${path}: ${text}`);
      assert.match(JSON.parse(text).message, /more space than is free \[KILN_REQUEST_TOO_LARGE\]/);
    }
    await until(() => scratchOf(rig).length === 0);
    // It goes on working.
    rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
    const built = await ask(socket, 'POST', '/build?t=after', { body: tarOf(rig, 'c') });
    assert.match(built.text, 'Successfully tagged after:latest');
    assert.not.match(serve.printed, /ERROR/);
  } finally {
    execFileSync('umount', ['-l', rig.store]);
  }
});

/** Opens a session that has one secret, as a client of Docker's socket does. */
async function openSession(
  socketPath: string,
  id: string,
  secret: string,
  onAsk: () => void = () => {},
): Promise<Duplex> {
  const out = request({
    ...{ socketPath, method: 'POST', path: '/session', agent: false },
    headers: {
      host: 'd',
      connection: 'Upgrade',
      upgrade: 'h2c',
      'x-docker-expose-session-uuid': id,
      'x-docker-expose-session-name': 'test',
      'x-docker-expose-session-sharedkey': '',
      'x-docker-expose-session-grpc-method': '/moby.buildkit.secrets.v1.Secrets/GetSecret',
    },
  });
  out.end();
  const upgraded = (await once(out, 'upgrade')) as [IncomingMessage, Duplex, Buffer];
  const [, socket, first] = upgraded;
  // What came with the answer is the beginning of the session.
  if (first.byteLength > 0) socket.unshift(first);
  serveInner(
    socket,
    new Map([
      unaryAnswer(Secrets.method.getSecret, async () => {
        onAsk();
        return { data: Buffer.from(secret) };
      }),
    ]),
  );
  return socket;
}

/** How many connections a process has open. */
function socketsOf(pid: number): number {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory).filter((name) => {
    try {
      return readlinkSync(`${directory}/${name}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}

test('an archive with a session gets the secrets of that session, and no others', async () => {
  await using rig = await DockerRig.create(['busybox']);
  const { rig: place } = rig.serve;
  place.write('c', {
    Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=s,required cat /run/secrets/s\n',
  });
  const body = tarOf(place, 'c');
  const without = await rig.ask('POST', '/build', { body });
  assert.match(without.text, /KILN_SECRET|secret/);
  assert.match(without.text, /errorDetail|message/);
  const before = socketsOf(rig.serve.pid);
  const socket = await openSession(rig.socket, 'mine', 'it is lent');
  const built = await rig.ask('POST', '/build?session=mine&t=x', { body });
  assert.match(built.text, 'it is lent');
  assert.match(built.text, 'Successfully tagged x:latest');
  // A client that ends its side has hung up.
  socket.end();
  await until(() => socketsOf(rig.serve.pid) <= before);
  const gone = await rig.ask('POST', '/build?session=mine&nocache=1', { body });
  assert.match(gone.text, 'KILN_CLIENT_FAILED');
});

test('no connection of a client outlives it', async () => {
  await using rig = await DockerRig.create(['busybox']);
  rig.serve.rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\n' });
  const before = socketsOf(rig.serve.pid);
  await rig.docker('build c');
  await until(() => socketsOf(rig.serve.pid) <= before);
});

/** A request that is sent in parts. */
function begun(rig: DockerRig, path: string, length: number, headers = {}): ClientRequest {
  const out = request({
    ...{ socketPath: rig.socket, method: 'POST', path, agent: false },
    headers: { host: 'd', 'content-length': String(length), ...headers },
  });
  out.on('error', () => {});
  return out;
}

test('a client that hangs up leaves nothing behind: at each stage', async () => {
  await using rig = await DockerRig.create(['busybox']);
  const { rig: place } = rig.serve;
  const before = socketsOf(rig.serve.pid);
  place.write('c', {
    Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=s,required sleep 600\n',
    big: Buffer.alloc(1 << 20, 'x'),
  });
  const tar = tarOf(place, 'c');
  // In the headers.
  const early = begun(rig, '/build', tar.byteLength);
  early.flushHeaders();
  await once(early, 'socket');
  early.destroy();
  // In the archive, and in one that is compressed.
  for (const body of [tar, gzipSync(tar)]) {
    const half = begun(rig, '/build', body.byteLength);
    await new Promise((resolve) => half.write(body.subarray(0, body.length / 2), resolve));
    half.destroy();
  }
  // In the archives of images.
  for (const path of ['/images/load', '/images/create?fromSrc=-']) {
    const half = begun(rig, path, tar.byteLength);
    await new Promise((resolve) => half.write(tar.subarray(0, 700_000), resolve));
    half.destroy();
  }
  // While its session is waited for.
  const waiting = begun(rig, '/build?session=never', tar.byteLength);
  await new Promise((resolve) => waiting.end(tar, resolve as () => void));
  waiting.destroy();
  // While its session is asked.
  const asked = Promise.withResolvers<void>();
  const socket = await openSession(rig.socket, 's', 'x', asked.resolve);
  const step = begun(rig, '/build?session=s', tar.byteLength);
  step.end(tar);
  await asked.promise;
  socket.destroy();
  step.destroy();
  // While an image is saved.
  const saved = request({
    ...{ socketPath: rig.socket, path: '/images/busybox/get', agent: false },
    headers: { host: 'd' },
  });
  saved.on('error', () => {});
  saved.end();
  const [answer] = (await once(saved, 'response')) as [IncomingMessage];
  answer.on('error', () => {});
  answer.destroy();
  // While events are waited for.
  const events = request({
    ...{ socketPath: rig.socket, path: '/events', agent: false },
    headers: { host: 'd' },
  });
  events.on('error', () => {});
  events.end();
  const [stream] = (await once(events, 'response')) as [IncomingMessage];
  stream.on('error', () => {});
  events.destroy();
  const running = () => execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
  await until(() => !running().includes('sleep 600'));
  await until(() => socketsOf(rig.serve.pid) <= before);
  await until(() => scratchOf(place).length === 0);
  assert.not.match(rig.serve.printed, /ERROR/);
});

test('a client that hangs up ends what waits for a registry, and what buildx began', async () => {
  await using rig = await DockerRig.create(['busybox']);
  const before = socketsOf(rig.serve.pid);
  // A registry that takes connections, and never answers.
  const asked: Socket[] = [];
  const registry = createServer((socket) => {
    socket.on('error', () => {});
    asked.push(socket);
  });
  registry.listen(0, '127.0.0.1');
  await once(registry, 'listening');
  const name = `127.0.0.1:${(registry.address() as AddressInfo).port}/a`;
  await rig.docker(`tag busybox ${name}`);
  for (const path of [`/images/create?fromImage=${name}:2`, `/images/${name}/push`]) {
    const waiting = begun(rig, path, 0);
    waiting.end();
    await until(() => asked.length > 0);
    waiting.destroy();
    await until(() => socketsOf(rig.serve.pid) <= before);
    for (const socket of asked.splice(0)) socket.destroy();
  }
  registry.close();
  rig.serve.rig.write('c', { Dockerfile: 'FROM busybox\nRUN sleep 654\n' });
  const client = spawn(DOCKER, ['build', 'c'], {
    cwd: rig.serve.rig.directory,
    env: { ...process.env, DOCKER_CONFIG: rig.serve.rig.path('docker'), ...rig.env },
    stdio: 'ignore',
    detached: true,
  });
  const running = () => execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
  await until(() => running().includes('sleep 654'));
  // The client and its plugin, without a word.
  process.kill(-client.pid!, 'SIGKILL');
  await until(() => !running().includes('sleep 654'));
  await until(() => socketsOf(rig.serve.pid) <= before);
  assert.not.match(rig.serve.printed, /ERROR/);
});

test('headers of logins that are wrong, and paths that lead elsewhere, are refused', async () => {
  await using rig = await DockerRig.create(['busybox']);
  rig.serve.rig.write('c', { Dockerfile: 'FROM busybox\n' });
  const body = tarOf(rig.serve.rig, 'c');
  const refused = async (method: string, path: string, asked: Asked = {}) => {
    const { status, text } = await rig.ask(method, path, asked);
    assert.ok(status >= 400 && status < 500, `${path}: ${status} ${text}`);
    const { message } = JSON.parse(text.trim().split('\n').at(-1) ?? '');
    assert.match(message, /\[KILN_[A-Z_]+\]/, path);
    assert.not.match(text, /hunter2|root:x/, path);
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  for (const login of ['hunter2', json('hunter2'), json(['hunter2']), 'x'.repeat(70_000)]) {
    // Node itself ends a request whose headers are longer than it allows.
    if (login.length > 16_000) continue;
    const pull = '/images/create?fromImage=127.0.0.1:1/a';
    await refused('POST', pull, { headers: { 'x-registry-auth': login } });
    await refused('POST', '/images/busybox/push', { headers: { 'x-registry-auth': login } });
    await refused('POST', '/build', { body, headers: { 'x-registry-config': login } });
  }
  await refused('POST', '/auth', { body: 'hunter2' });
  for (const path of [
    '/build?dockerfile=../../../../etc/passwd',
    '/build?dockerfile=/../../etc/passwd',
    '/build?dockerfile=..%2F..%2Fetc%2Fpasswd',
    '/build?t=../../x',
    '/build?remote=../c',
    '/build?remote=file:///etc/passwd',
    '/images/create?fromImage=../../x',
    '/images/create?fromSrc=/etc/passwd',
    '/images/create?fromSrc=../c',
    '/images/busybox/tag?repo=../../x',
    '/images/..%2F..%2Fx/push',
  ])
    await refused('POST', path, { body });
  for (const path of [
    '/images/..%2F..%2Fetc%2Fpasswd/json',
    '/images/..%2F..%2Fx/get',
    '/images/get?names=..%2Fx',
    '/distribution/..%2Fx/json',
  ])
    await refused('GET', path);
  await refused('DELETE', '/images/..%2F..%2Fx');
  for (const headers of [
    { origin: 'https://evil.example' },
    { 'sec-fetch-mode': 'no-cors' },
    { host: 'evil.example' },
  ])
    for (const path of ['/build', '/images/load', '/images/prune', '/session', '/grpc']) {
      const { status } = await rig.ask('POST', path, { headers, body });
      assert.is(status, 403, path);
    }
  assert.not.match(rig.serve.printed, /ERROR/);
});

test.run();
