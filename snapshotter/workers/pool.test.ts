import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { threadId } from 'node:worker_threads';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CancelledError, KilnError } from '../../base/errors.ts';
import {
  countJob,
  dieJob,
  endlessJob,
  failJob,
  hashJob,
  meetJob,
  whereJob,
} from './jobs.fixture.ts';
import { createPool, runInline, type WorkerPool } from './pool.ts';

const entry = new URL('worker.fixture.ts', import.meta.url);

const test = suite<{ pool: WorkerPool }>('worker pool');
test.before.each((context) => {
  context.pool = createPool({ entry, threads: 2 });
});
test.after.each(async ({ pool }) => await pool[Symbol.asyncDispose]());

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => assert.unreachable('it should have failed'),
    (error: unknown) => error,
  );
}

function flag(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}

test('jobs run on other threads, which are reused', async ({ pool }) => {
  const threads = new Set<number>();
  for (let n = 0; n < 5; n++) threads.add(await pool.run(whereJob, null));
  assert.not(threads.has(threadId));
  assert.is(threads.size, 1);
});

test('two jobs run at once', async ({ pool }) => {
  const flags = new Int32Array(new SharedArrayBuffer(8));
  assert.equal(await Promise.all([0, 1].map((mine) => pool.run(meetJob, { flags, mine }))), [
    true,
    true,
  ]);
});

test('jobs that wait for something else do not keep the others from running', async ({ pool }) => {
  const flags = new Int32Array(new SharedArrayBuffer(16));
  const kinds = ['waits', 'waits', 'works', 'works'] as const;
  const met = kinds.map((kind, mine) =>
    pool.run(meetJob, { flags, mine }, undefined, undefined, kind),
  );
  assert.equal(await Promise.all(met), [true, true, true, true]);
});

test('more jobs than threads all get their own answer', async ({ pool }) => {
  const inputs = Array.from({ length: 40 }, (_, n) => Buffer.from(`input ${n}`));
  const answers = await Promise.all(inputs.map((bytes) => pool.run(hashJob, bytes)));
  assert.equal(
    answers,
    inputs.map((bytes) => createHash('sha256').update(bytes).digest('hex')),
  );
});

test('idle threads end at rest, busy ones do not, and the next job starts one', async ({
  pool,
}) => {
  const first = await pool.run(whereJob, null);
  await pool.rest();
  const second = await pool.run(whereJob, null);
  assert.is.not(second, first);
  const [started, busy] = [flag(), new AbortController()];
  const running = failure(pool.run(endlessJob, started, busy.signal));
  await Atomics.waitAsync(started, 0, 0).value;
  await pool.rest();
  busy.abort();
  assert.instance(await running, CancelledError);
  assert.is(await pool.run(whereJob, null), second);
});

test('an error for the user arrives complete', async ({ pool }) => {
  const error = await failure(pool.run(failJob, 'kiln'));
  assert.instance(error, KilnError);
  const { code, message, place, hint, exitCode, notes } = error as KilnError;
  assert.equal(
    { code, message, place, hint, exitCode, notes },
    {
      code: 'KILN_LAYER_LIMIT',
      message: 'too much',
      place: { kind: 'flag', flag: '--x' },
      hint: 'less',
      exitCode: 7,
      notes: ['a', 'b'],
    },
  );
});

test('any other error keeps its name, code, message and stack', async ({ pool }) => {
  const error = (await failure(pool.run(failJob, 'plain'))) as Error & { code: string };
  assert.equal([error.name, error.message, error.code], ['TypeError', 'no such thing', 'ENOENT']);
  assert.match(error.stack ?? '', /jobs\.fixture/);
});

test('a caller is told of the bytes of a job while it runs, and of all at its end', async ({
  pool,
}) => {
  const told: number[] = [];
  const heard = flag();
  await pool.run(countJob, heard, undefined, (bytes) => {
    told.push(bytes);
    Atomics.store(heard, 0, 1);
    Atomics.notify(heard, 0);
  });
  assert.is(told[0], 3000);
  assert.is(told.at(-1), 3500);
});

test('a running job is cancelled, and its thread continues', async ({ pool }) => {
  const controller = new AbortController();
  const started = flag();
  const running = failure(pool.run(endlessJob, started, controller.signal));
  await Atomics.waitAsync(started, 0, 0).value;
  controller.abort();
  assert.instance(await running, CancelledError);
  assert.type(await pool.run(whereJob, null), 'number');
});

test('a waiting job is cancelled without having begun', async ({ pool }) => {
  const blocking = new AbortController();
  const [one, two, never] = [flag(), flag(), flag()];
  const running = [one, two].map((started) =>
    failure(pool.run(endlessJob, started, blocking.signal)),
  );
  const controller = new AbortController();
  const waiting = failure(pool.run(endlessJob, never, controller.signal));
  controller.abort();
  assert.instance(await waiting, CancelledError);
  assert.is(never[0], 0);
  blocking.abort();
  await Promise.all(running);
  assert.instance(await failure(pool.run(whereJob, null, controller.signal)), CancelledError);
});

test('a thread that dies fails its job only', async ({ pool }) => {
  assert.match(String(await failure(pool.run(dieJob, null))), /thread ended/);
  assert.type(await pool.run(whereJob, null), 'number');
});

test('closing ends running and waiting jobs', async () => {
  const pool = createPool({ entry, threads: 1 });
  const started = flag();
  const running = failure(pool.run(endlessJob, started));
  const waiting = failure(pool.run(whereJob, null));
  await Atomics.waitAsync(started, 0, 0).value;
  await pool[Symbol.asyncDispose]();
  assert.instance(await running, Error);
  assert.instance(await waiting, CancelledError);
  assert.match(String(await failure(pool.run(whereJob, null))), /closed/);
});

test('an inline job runs on this thread', async () => {
  assert.is(await runInline(whereJob, null), threadId);
  assert.instance(await failure(runInline(failJob, 'kiln')), KilnError);
  assert.instance(await failure(runInline(whereJob, null, AbortSignal.abort())), CancelledError);
});

test('an idle pool lets the process end, and an unused one starts no thread', async () => {
  const child = fileURLToPath(new URL('pool.child.ts', import.meta.url));
  const run = async (...words: string[]) =>
    (await promisify(execFile)(process.execPath, [child, ...words])).stdout
      .split('\n')
      .filter(Boolean);
  assert.equal(await run(), ['idle']);
  assert.equal(await run('use'), ['idle', 'starts', 'number']);
});

test.run();
