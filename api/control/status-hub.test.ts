import { mock } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { StatusHub } from './status-hub.ts';

const VERTEX = digestOf('a');
const vertex = (more: { started?: number; completed?: number }): ProgressEvent => {
  return { kind: 'vertex', vertex: VERTEX, name: 'a', inputs: [], ...more };
};
const log = (text: string): ProgressEvent => {
  return { kind: 'log', vertex: VERTEX, stream: 1, data: Buffer.from(text), timestamp: 1 };
};
const transfer = (current: number): ProgressEvent => {
  const times = { timestamp: 1, started: 1 };
  return { kind: 'status', vertex: VERTEX, id: 's', name: 's', current, total: 9, ...times };
};

async function heard(hub: StatusHub): Promise<ProgressEvent[]> {
  const all: ProgressEvent[] = [];
  for await (const events of hub.listen(new AbortController().signal)) all.push(...events);
  return all;
}

test('the first listener is told everything, a later one state and output so far', async () => {
  const hub = new StatusHub();
  const first = heard(hub);
  const events = [vertex({ started: 1 }), transfer(1), log('one'), transfer(2), log('two')];
  for (const event of events) hub.event(event);
  const second = heard(hub);
  const last = vertex({ started: 1, completed: 2 });
  hub.event(last);
  hub.end();
  assert.equal(await first, [...events, last]);
  assert.equal(await second, [vertex({ started: 1 }), transfer(2), log('one'), log('two'), last]);
  assert.equal(await heard(hub), [last, transfer(2), log('one'), log('two')]);
});

test('of much output, a later listener is told the end', async () => {
  const hub = new StatusHub();
  void heard(hub);
  for (let count = 0; count < 40; count++) hub.event(log(`${count}`.padEnd(100_000)));
  hub.end();
  const texts = (await heard(hub)).map((event) =>
    event.kind === 'log' ? Number(Buffer.from(event.data).toString()) : -1,
  );
  assert.ok(texts.length >= 5 && texts.length <= 10, texts.join());
  assert.equal(
    texts,
    Array.from({ length: texts.length }, (_, at) => 40 - texts.length + at),
  );
});

test('the last events are told as soon as nothing more comes', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const hub = new StatusHub();
    const all = heard(hub);
    hub.event(vertex({ started: 1 }));
    await setImmediate();
    hub.event(vertex({ completed: 2 }));
    hub.end();
    assert.is((await all).length, 2, 'no time passes in this test');
  } finally {
    mock.timers.reset();
  }
});

test.run();
