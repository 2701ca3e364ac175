import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CancelledError } from '../../base/errors.ts';
import { Flights } from './flights.ts';
import { withLockFile } from './lockfile.ts';

const never = new AbortController().signal;

test('callers share work that is running; a later caller starts it again', async () => {
  const flights = new Flights<number>();
  let runs = 0;
  const gate = Promise.withResolvers<void>();
  const ask = () =>
    flights.run('key', undefined, async () => {
      await gate.promise;
      return ++runs;
    });
  const asked = [ask(), ask(), flights.run('other', undefined, async () => 7)];
  gate.resolve();
  assert.equal(await Promise.all(asked), [1, 1, 7]);
  assert.is(await ask(), 2);
});

test('work goes on when a caller gives up, and is aborted when nobody waits', async () => {
  const flights = new Flights<string>();
  let aborted = false;
  const gate = Promise.withResolvers<void>();
  const body = async (signal: AbortSignal) => {
    signal.addEventListener('abort', () => {
      aborted = true;
      gate.resolve();
    });
    await gate.promise;
    return 'done';
  };
  const [a, b] = [new AbortController(), new AbortController()];
  const first = flights.run('key', a.signal, body).catch((error) => error);
  const second = flights.run('key', b.signal, body).catch((error) => error);
  a.abort();
  assert.instance(await first, CancelledError);
  assert.not(aborted);
  b.abort();
  assert.instance(await second, CancelledError);
  assert.ok(aborted);
});

test('a failure reaches all callers that wait, and is not kept', async () => {
  const flights = new Flights<number>();
  const fail = () =>
    flights
      .run('key', undefined, () => Promise.reject(new Error('no')))
      .catch((error: Error) => error.message);
  assert.equal(await Promise.all([fail(), fail()]), ['no', 'no']);
  assert.is(await flights.run('key', undefined, async () => 1), 1);
});

test('only one holder has a lock file, and the file is removed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-lock-'));
  const path = join(directory, 'locks', 'a');
  let inside = 0;
  let most = 0;
  const enter = () =>
    withLockFile(path, never, async () => {
      most = Math.max(most, ++inside);
      await new Promise(setImmediate);
      inside--;
    });
  await Promise.all([enter(), enter(), enter()]);
  assert.is(most, 1);
  assert.not(existsSync(path));
  rmSync(directory, { recursive: true });
});

test('the lock of a killed process is free', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-lock-'));
  const path = join(directory, 'a');
  const module = JSON.stringify(new URL('lockfile.ts', import.meta.url).href);
  const holder =
    `import(${module}).then((m) => m.withLockFile(${JSON.stringify(path)}, new ` +
    "AbortController().signal, () => (console.log('held'), setInterval(() => 0, 1e6), new " +
    'Promise(() => 0))))';
  const child = spawn(process.execPath, ['-e', holder], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((held) => child.stdout.once('data', held));
  const abort = new AbortController();
  const given = withLockFile(path, abort.signal, async () => 'entered').catch((error) => error);
  abort.abort();
  assert.instance(await given, CancelledError);
  const waiting = withLockFile(path, never, async () => 'entered');
  child.kill('SIGKILL');
  assert.is(await waiting, 'entered');
  rmSync(directory, { recursive: true });
});

test.run();
