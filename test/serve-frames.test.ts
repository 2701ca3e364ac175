import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { Control } from '../api/proto/control.gen.ts';
import { Health } from '../api/proto/health.gen.ts';
import { mutateBytes } from '../base/testing/mutate.ts';
import { randomOf } from '../base/testing/random.ts';
import { megabytesOf } from './held.ts';
import { framed, messageOf, pathOf, type RawClient } from './raw-client.ts';
import { type Siege, siegeSuite } from './siege.ts';

/** Clients that speak HTTP/2 wrongly, or not at all. */
const test = siegeSuite('frames of hostile clients');

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  away: 7,
  window: 8,
  continuation: 9,
};
const END_STREAM = 1;
const END_HEADERS = 4;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const SETTINGS = frame(FRAME.settings, 0, 0, Buffer.alloc(0));

/** A header as HPACK writes it, without its tables: literal, never indexed. */
function header(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x10]), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([integer(bytes.byteLength, 7), bytes]);
}

/** An integer of HPACK with a prefix of so many bits. */
function integer(value: number, bits: number, first = 0): Buffer {
  const max = 2 ** bits - 1;
  if (value < max) return Buffer.from([first | value]);
  const rest: number[] = [first | max];
  let left = value - max;
  for (; left >= 128; left = Math.floor(left / 128)) rest.push((left % 128) + 128);
  return Buffer.from([...rest, left]);
}

const CALL = Buffer.concat([
  header(':method', 'POST'),
  header(':scheme', 'http'),
  header(':path', pathOf(Health.method.check)),
  header(':authority', 'localhost'),
  header('content-type', 'application/grpc'),
  header('te', 'trailers'),
]);

/** A connection without any protocol. Errors of it are its end. */
async function plain(siege: Siege): Promise<{ socket: Socket; closed: Promise<unknown> }> {
  const socket = connect(siege.serve.socket);
  socket.on('error', () => {});
  socket.resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await once(socket, 'connect');
  return { socket, closed };
}

/** Writes until the server has closed the connection, or so many pieces are written. */
async function flood(siege: Siege, first: Uint8Array, piece: Uint8Array, count: number) {
  const { socket, closed } = await plain(siege);
  let isOpen = true;
  void closed.then(() => (isOpen = false));
  socket.write(first);
  for (let at = 0; at < count && isOpen; at++)
    if (!socket.write(piece))
      await Promise.race([closed, new Promise((resolve) => socket.once('drain', resolve))]);
  return { socket, closed, isOpen: () => isOpen };
}

test('a client that says nothing, or half of the preface, is no hindrance', async (siege) => {
  const sockets: Socket[] = [];
  for (let at = 0; at < 100; at++) {
    const { socket } = await plain(siege);
    socket.write(PREFACE.subarray(0, at % PREFACE.byteLength));
    sockets.push(socket);
  }
  await siege.mustServe();
  for (const socket of sockets) socket.destroy();
});

test('HTTP/1, TLS and garbage are refused by the end of the connection', async (siege) => {
  const hello = Buffer.from('16030100c8010000c40303', 'hex');
  const words = [
    Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    Buffer.concat([hello, Buffer.alloc(300)]),
    Buffer.from('\0'.repeat(100)),
    Buffer.concat([PREFACE, Buffer.from('not a frame at all, but a long text of many words')]),
    Buffer.concat([PREFACE, frame(FRAME.data, 0, 1, Buffer.alloc(10))]),
    Buffer.concat([PREFACE, SETTINGS, frame(FRAME.data, 0, 7, Buffer.alloc(10))]),
    Buffer.concat([PREFACE, SETTINGS, frame(FRAME.push, END_HEADERS, 1, Buffer.alloc(10))]),
    Buffer.concat([PREFACE, SETTINGS, frame(FRAME.settings, 0, 0, Buffer.alloc(7))]),
    Buffer.concat([PREFACE, SETTINGS, frame(FRAME.window, 0, 0, Buffer.alloc(4))]),
    Buffer.concat([PREFACE, SETTINGS, frame(FRAME.headers, END_HEADERS, 1, Buffer.alloc(9, 255))]),
    Buffer.concat([PREFACE, SETTINGS, frame(FRAME.headers, END_HEADERS, 2, CALL)]),
    Buffer.concat([PREFACE, SETTINGS, Buffer.from('ffffff000000000001', 'hex')]),
  ];
  for (const [at, word] of words.entries()) {
    const { socket, closed } = await plain(siege);
    socket.write(word);
    assert.ok(await Promise.race([closed.then(() => true), later(20_000)]), `word ${at}`);
  }
});

test('floods of frames end their connection, or cost nothing', async (siege) => {
  const before = megabytesOf(siege.pid);
  const begun = Buffer.concat([PREFACE, SETTINGS]);
  const open = frame(FRAME.headers, 0, 1, CALL);
  const many = (piece: Buffer, times = 2000) => Buffer.concat(Array(times).fill(piece));
  // Streams that are opened and reset, each with its own number.
  const resets = Buffer.concat(
    Array.from({ length: 20_000 }, (_, at) => at * 2 + 1).flatMap((stream) => [
      frame(FRAME.headers, END_HEADERS, stream, CALL),
      frame(FRAME.reset, 0, stream, Buffer.from([0, 0, 0, 8])),
    ]),
  );
  const floods: readonly [string, Buffer, Buffer, number][] = [
    ['settings', begun, many(SETTINGS), 200],
    ['pings', begun, many(frame(FRAME.ping, 0, 0, Buffer.alloc(8))), 200],
    [
      'continuations',
      Buffer.concat([begun, open]),
      many(frame(FRAME.continuation, 0, 1, header('x', 'y'))),
      200,
    ],
    [
      'empty continuations',
      Buffer.concat([begun, open]),
      many(frame(FRAME.continuation, 0, 1, Buffer.alloc(0))),
      200,
    ],
    ['resets', begun, resets, 1],
    ['windows', begun, many(frame(FRAME.window, 0, 0, Buffer.from([0, 0, 0, 1]))), 100],
    [
      'empty data',
      Buffer.concat([begun, frame(FRAME.headers, END_HEADERS, 1, CALL)]),
      many(frame(FRAME.data, 0, 1, Buffer.alloc(0))),
      200,
    ],
    ['unknown frames', begun, many(frame(77, 0, 0, Buffer.alloc(100))), 200],
  ];
  for (const [name, first, piece, count] of floods) {
    const { socket } = await flood(siege, first, piece, count);
    await siege.mustServe();
    const now = megabytesOf(siege.pid);
    assert.ok(now < before + 150, `${name}: ${before} MB, then ${now} MB`);
    socket.destroy();
  }
});

test('a header that grows when it is unpacked is refused', async (siege) => {
  const before = megabytesOf(siege.pid);
  // One large entry in the table, then a reference to it in one byte, again and again.
  const entry = Buffer.concat([Buffer.from([0x40]), text('x'), text('y'.repeat(4000))]);
  const bomb = Buffer.concat([CALL, entry, Buffer.alloc(12_000, 0xbe)]);
  const { socket } = await plain(siege);
  socket.write(Buffer.concat([PREFACE, SETTINGS]));
  for (let stream = 1; stream < 400 && !socket.destroyed; stream += 2)
    socket.write(frame(FRAME.headers, END_HEADERS | END_STREAM, stream, bomb));
  await siege.mustServe();
  const now = megabytesOf(siege.pid);
  assert.ok(now < before + 150, `${before} MB, then ${now} MB`);
  socket.destroy();
});

test('connections whose bytes are changed at random harm nobody', async (siege) => {
  // KILN_SOAK=1 makes 20,000 of them; KILN_SEED=N repeats a run.
  const soak = process.env['KILN_SOAK'] === '1';
  const seed = Number(process.env['KILN_SEED'] ?? (soak ? Date.now() % 1e6 : 1));
  const random = randomOf(seed);
  const call = (path: string, message: Uint8Array) =>
    Buffer.concat([
      PREFACE,
      SETTINGS,
      frame(FRAME.headers, END_HEADERS, 1, Buffer.concat([CALL, header(':path', path)])),
      frame(FRAME.headers, END_HEADERS, 3, CALL),
      frame(FRAME.data, END_STREAM, 3, framed(message)),
    ]);
  const corpus = [
    call(pathOf(Health.method.check), Buffer.alloc(0)),
    call(pathOf(Control.method.solve), messageOf(Control.method.solve, { ref: 'x' })),
    call(pathOf(Control.method.session), Buffer.alloc(20)),
  ];
  for (let round = 0; round < (soak ? 200 : 3); round++) {
    const sockets = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const { socket } = await plain(siege);
        socket.write(mutateBytes(random, corpus));
        return socket;
      }),
    );
    await siege.mustServe();
    for (const socket of sockets) socket.destroy();
  }
});

test('what is not gRPC, and methods that are not there, are refused', async (siege) => {
  const client = siege.client();
  const check = pathOf(Health.method.check);
  const empty = framed(new Uint8Array());
  const wrongs: readonly [number | undefined, ...Parameters<RawClient['send']>][] = [
    [12, '/moby.buildkit.v1.Control/Nothing', empty],
    [12, '/', empty],
    [12, '/moby.buildkit.v1.Control/', empty],
    [12, '/../../etc/passwd', empty],
    [3, check, Buffer.from([0, 0])],
    [12, check, Buffer.concat([empty, empty])],
    [3, check, framed(new Uint8Array(2), 0, 200)],
    [12, check, Buffer.alloc(0)],
    [13, check, framed(Buffer.from([0xff]))],
  ];
  for (const [code, path, bytes, headers] of wrongs) {
    const answer = await client.send(path, bytes, headers);
    assert.is(answer.code, code, `${path} ${Buffer.from(bytes).toString('hex')}: ${answer.text}`);
  }
  const typed = await client.send(check, empty, { 'content-type': 'text/html' });
  assert.is(typed.code, undefined);
});

test('messages above the limit, and compressed ones, are refused unread', async (siege) => {
  const client = siege.client();
  const solve = pathOf(Control.method.solve);
  const before = megabytesOf(siege.pid);
  const huge = framed(Buffer.alloc(18 << 20));
  const answer = await client.send(solve, huge);
  assert.is(answer.code, 8, answer.text);
  // It says that it is long, and is not.
  const stream = client.stream(solve);
  stream.write(framed(Buffer.alloc(1000), 0, 0xffff_ffff));
  const told = await new Promise((resolve) => {
    stream.once('response', resolve);
    stream.once('close', () => resolve(undefined));
  });
  assert.ok(told);
  const bomb = gzipSync(Buffer.alloc(200 << 20), { level: 9 });
  const packed = await client.send(solve, framed(bomb, 1), { 'grpc-encoding': 'gzip' });
  assert.is(packed.code, 12, packed.text);
  const unsaid = await client.send(solve, framed(bomb, 1));
  assert.is(unsaid.code, 13, unsaid.text);
  const small = framed(messageOf(Control.method.info, {}), 0);
  assert.is(
    (await client.send(pathOf(Control.method.info), small, { 'grpc-encoding': 'br' })).code,
    12,
  );
  const now = megabytesOf(siege.pid);
  assert.ok(now < before + 150, `${before} MB, then ${now} MB`);
});

function later(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms).unref());
}

test.run();
