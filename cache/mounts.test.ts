import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CacheMounts, type CacheRequest, createCacheMounts } from './mounts.ts';

const test = suite<{ dir: string; mounts: CacheMounts; other: CacheMounts }>('cache mounts');
const never = new AbortController().signal;

test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kiln-mounts-'));
  // Locks belong to open files, so two instances in one process behave like two processes.
  context.mounts = createCacheMounts(context.dir);
  context.other = createCacheMounts(context.dir);
});
test.after.each(({ dir }) => rmSync(dir, { recursive: true, force: true }));

function request(more: Partial<CacheRequest> = {}): CacheRequest {
  return { id: 'x', sharing: 'shared', base: '', fill: async () => {}, ...more };
}

/** Whether a promise has settled after everything that can happen now has happened. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const mark = () => {
    settled = true;
  };
  promise.then(mark, mark);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  return settled;
}

test('shared: all users have one directory at the same time, and its files stay', async ({
  mounts,
  other,
}) => {
  await using a = await mounts.lease(request(), never);
  await using b = await other.lease(request(), never);
  assert.is(a.directory, b.directory);
  writeFileSync(join(a.directory, 'kept'), '');
  assert.equal(readdirSync(b.directory), ['kept']);
});

test('locked: the second user waits until the first is done and has the same directory', async ({
  mounts,
  other,
}) => {
  const a = await mounts.lease(request({ sharing: 'locked' }), never);
  const waiting = other.lease(request({ sharing: 'locked' }), never);
  assert.not(await isSettled(waiting));
  await a[Symbol.asyncDispose]();
  await using b = await waiting;
  assert.is(b.directory, a.directory);
});

test('locked: a shared user and a locked user exclude each other', async ({ mounts, other }) => {
  const shared = await mounts.lease(request(), never);
  const locked = other.lease(request({ sharing: 'locked' }), never);
  assert.not(await isSettled(locked));
  await shared[Symbol.asyncDispose]();
  const held = await locked;
  const again = mounts.lease(request(), never);
  assert.not(await isSettled(again));
  await held[Symbol.asyncDispose]();
  await (await again)[Symbol.asyncDispose]();
});

test('a waiting user can be cancelled, and the lock goes to the next', async ({
  mounts,
  other,
}) => {
  const a = await mounts.lease(request({ sharing: 'locked' }), never);
  const abort = new AbortController();
  const waiting = other.lease(request({ sharing: 'locked' }), abort.signal);
  assert.not(await isSettled(waiting));
  abort.abort();
  const error = await waiting.catch((caught: unknown) => caught);
  assert.match(String(error), 'cancelled');
  await a[Symbol.asyncDispose]();
  await (await other.lease(request({ sharing: 'locked' }), never))[Symbol.asyncDispose]();
});

test('private: each user has its own directory, and a free one is used again', async ({
  mounts,
  other,
}) => {
  const a = await mounts.lease(request({ sharing: 'private' }), never);
  const b = await other.lease(request({ sharing: 'private' }), never);
  assert.is.not(a.directory, b.directory);
  await a[Symbol.asyncDispose]();
  const c = await other.lease(request({ sharing: 'private' }), never);
  assert.is(c.directory, a.directory);
  await b[Symbol.asyncDispose]();
  await c[Symbol.asyncDispose]();
});

test('a different id or base means a different cache', async ({ mounts }) => {
  await using a = await mounts.lease(request(), never);
  await using b = await mounts.lease(request({ id: 'y' }), never);
  await using c = await mounts.lease(request({ base: 'tree' }), never);
  assert.is(new Set([a.directory, b.directory, c.directory]).size, 3);
});

test('a cache is filled once; after a failed fill it is filled again from empty', async ({
  mounts,
}) => {
  const failing = request({
    fill: async (directory) => {
      writeFileSync(join(directory, 'half'), '');
      throw new Error('cut short');
    },
  });
  assert.match(
    String(await mounts.lease(failing, never).catch((error: unknown) => error)),
    'cut short',
  );
  let fills = 0;
  const filling = request({
    fill: async (directory) => {
      fills++;
      writeFileSync(join(directory, 'whole'), '');
    },
  });
  const leases = await Promise.all([mounts.lease(filling, never), mounts.lease(filling, never)]);
  assert.is(fills, 1);
  assert.equal(readdirSync(leases[0]!.directory), ['whole']);
  for (const lease of leases) await lease[Symbol.asyncDispose]();
});

test('a fresh cache is emptied once in a build, and no user of it loses anything', async ({
  dir,
  mounts,
}) => {
  const use = async (caches: CacheMounts, name: string, emptied?: Set<string>) => {
    await using lease = await caches.lease(request({ ...(emptied && { emptied }) }), never);
    writeFileSync(join(lease.directory, name), '');
    return readdirSync(lease.directory).sort();
  };
  await use(mounts, 'old');
  const build = new Set<string>();
  assert.equal(await use(mounts, 'one', build), ['one']);
  assert.equal(await use(mounts, 'two', build), ['one', 'two']);
  await using user = await mounts.lease(request(), never);
  assert.equal(await use(createCacheMounts(dir), 'three', new Set()), ['one', 'three', 'two']);
  assert.ok(existsSync(join(user.directory, 'one')));
});

test.run();
