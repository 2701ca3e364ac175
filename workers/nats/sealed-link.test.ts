import { createSecretKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { NatsConnection } from '@nats-io/transport-node';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openFrame, sealFrame } from './frames.ts';
import { makeKeyHalf } from './link-keys.ts';
import { SealedLink } from './sealed-link.ts';

type Listener = (error: unknown, message: { readonly data: Uint8Array }) => void;

/** A NATS in memory. `loses` says which messages do not arrive. */
function memoryNats(loses: (data: Uint8Array) => boolean = () => false): {
  readonly connection: NatsConnection;
  readonly passed: Uint8Array[];
} {
  const listeners = new Map<string, Listener>();
  const passed: Uint8Array[] = [];
  const connection = {
    isClosed: () => false,
    subscribe(subject: string, { callback }: { callback: Listener }) {
      listeners.set(subject, callback);
      return { unsubscribe: () => listeners.delete(subject) };
    },
    publish(subject: string, data: Uint8Array) {
      if (loses(data)) return;
      passed.push(data);
      setImmediate(() => listeners.get(subject)?.(undefined, { data: Uint8Array.from(data) }));
    },
  };
  return { connection: connection as unknown as NatsConnection, passed };
}

function linked(nats: NatsConnection): { readonly build: SealedLink; readonly worker: SealedLink } {
  const [one, other] = [makeKeyHalf(), makeKeyHalf()];
  const names = { job: 'j', link: 'l' };
  const build = one.keysWith(other.publicKey, { ...names, role: 'build' });
  const worker = other.keysWith(one.publicKey, { ...names, role: 'worker' });
  for (const key of ['toWorker', 'toBuild'] as const) {
    assert.equal(build[key].export(), worker[key].export());
  }
  const { toWorker, toBuild } = build;
  return {
    build: new SealedLink(nats, { own: 'b', other: 'w', ownKey: toWorker, otherKey: toBuild }),
    worker: new SealedLink(nats, { own: 'w', other: 'b', ownKey: toBuild, otherKey: toWorker }),
  };
}

const someKey = () => createSecretKey(randomBytes(32));

async function allOf(link: SealedLink): Promise<Buffer> {
  const pieces: Buffer[] = [];
  link.on('data', (piece: Buffer) => pieces.push(piece));
  await once(link, 'end');
  return Buffer.concat(pieces);
}

test('bytes arrive whole, both ways, though the connection is cut', async () => {
  let count = 0;
  const { connection } = memoryNats(() => ++count > 30 && count < 120);
  const { build, worker } = linked(connection);
  const bytes = randomBytes(20 << 20);
  const answer = randomBytes(300_000);
  build.end(bytes);
  worker.end(answer);
  const [there, back] = await Promise.all([allOf(worker), allOf(build)]);
  assert.ok(there.equals(bytes));
  assert.ok(back.equals(answer));
  build.destroy();
  worker.destroy();
});

test('nothing can be read on the way, and what others send is not taken', async () => {
  const { connection, passed } = memoryNats();
  const { build, worker } = linked(connection);
  build.write('a secret of a step');
  const [data] = await once(worker, 'data');
  assert.is(String(data), 'a secret of a step');
  assert.not.ok(passed.some((message) => Buffer.from(message).includes('secret')));
  const forged = { kind: 'data', count: 1, bytes: Buffer.from('forged') } as const;
  connection.publish('w', sealFrame(forged, someKey()));
  connection.publish('w', passed[0]!);
  build.write('more');
  const [next] = await once(worker, 'data');
  assert.is(String(next), 'more');
  build.destroy();
  worker.destroy();
});

test('what is written in one turn goes in one message', async () => {
  const { connection, passed } = memoryNats();
  const { build, worker } = linked(connection);
  for (let at = 0; at < 20; at++) build.write(`${at} `);
  const [data] = await once(worker, 'data');
  assert.match(String(data), /^0 .* 19 $/);
  assert.is(passed.length, 1);
  build.destroy();
  worker.destroy();
});

test('a side that ends the link on purpose is told from one that breaks it', async () => {
  for (const error of [undefined, new Error('broken')]) {
    const { connection } = memoryNats();
    const { build, worker } = linked(connection);
    build.on('error', () => {});
    worker.on('error', () => {});
    const closed = new Promise((resolve) => worker.once('close', resolve));
    build.destroy(error);
    await closed;
    assert.is(worker.isOver, error === undefined);
  }
});

test('a frame that was changed is none', () => {
  const key = someKey();
  const sealed = sealFrame({ kind: 'data', count: 7, bytes: Buffer.from('text') }, key);
  assert.equal(openFrame(sealed, key)?.count, 7);
  for (let at = 0; at < sealed.byteLength; at++) {
    const changed = Buffer.from(sealed);
    changed[at]! ^= 1;
    assert.is(openFrame(changed, key), undefined);
  }
  assert.is(openFrame(sealed.subarray(0, 10), key), undefined);
});

test.run();
