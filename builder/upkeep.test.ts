import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Upkeep } from './upkeep.ts';

interface Setting {
  readonly upkeep: Upkeep;
  /** One for each write-back so far: what ends it, or undefined when there was no new layer. */
  readonly written: (PromiseWithResolvers<void> | undefined)[];
  readonly collections: PromiseWithResolvers<void>[];
  readonly warnings: string[];
  /** There are new layers to be written back. */
  hasLayers: boolean;
  fails: boolean;
  readonly root: string;
}

const test = suite<Setting>('upkeep');

test.before.each((at) => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-upkeep-'));
  const [written, collections, warnings]: [
    Setting['written'],
    Setting['collections'],
    Setting['warnings'],
  ] = [[], [], []];
  Object.assign(at, { root, written, collections, warnings, hasLayers: true, fails: false });
  const upkeep = new Upkeep({
    store: { root, warn: (sentence) => warnings.push(sentence) },
    writeBack: () => {
      if (at.fails) throw new Error('the index is gone');
      const end = at.hasLayers ? Promise.withResolvers<void>() : undefined;
      written.push(end);
      return end?.promise;
    },
    collect: () => {
      const end = Promise.withResolvers<void>();
      collections.push(end);
      return end.promise;
    },
    pause: async () => {},
  });
  Object.assign(at, { upkeep });
});

test.after.each(({ root }) => rmSync(root, { recursive: true }));

/** Waits until all work that waits for nothing else has ended, imports included. */
async function quiet(): Promise<void> {
  await import('../cache/gc/turn.ts');
  await new Promise((resolve) => setImmediate(resolve));
}

function collectedAnHourAgo(root: string): void {
  const then = Date.now() / 1000 - 3601;
  writeFileSync(join(root, 'collected'), '');
  utimesSync(join(root, 'collected'), then, then);
}

test('the first build is written back at once, and those that end meanwhile together', async ({
  upkeep,
  written,
}) => {
  upkeep.afterBuild('ended');
  assert.is(written.length, 1);
  for (let n = 0; n < 50; n++) upkeep.afterBuild('ended');
  await quiet();
  assert.is(written.length, 1);
  written[0]!.resolve();
  await quiet();
  assert.is(written.length, 2);
  written[1]!.resolve();
  await quiet();
  assert.is(written.length, 2, 'nothing is written back without a build');
  upkeep.afterBuild('ended');
  assert.is(written.length, 3);
});

test('a build without new layers does not delay the write-back of the next build', async (at) => {
  at.hasLayers = false;
  at.upkeep.afterBuild('ended');
  at.hasLayers = true;
  at.upkeep.afterBuild('ended');
  assert.equal(
    at.written.map((end) => end !== undefined),
    [false, true],
  );
});

test('closing starts the write-back that a finished build still waits for', async ({
  upkeep,
  written,
}) => {
  upkeep.afterBuild('ended');
  upkeep.afterBuild('ended');
  assert.is(written.length, 1);
  await upkeep[Symbol.asyncDispose]();
  assert.is(written.length, 2);
  written[0]!.resolve();
  await quiet();
  assert.is(written.length, 2);
});

test('a cancelled build is written back a little later, but not by closing', async (at) => {
  at.upkeep.afterBuild('cancelled');
  assert.is(at.written.length, 0);
  await quiet();
  assert.is(at.written.length, 1);
  at.upkeep.afterBuild('cancelled');
  await at.upkeep[Symbol.asyncDispose]();
  at.written[0]!.resolve();
  await quiet();
  assert.is(at.written.length, 1);
});

test('builds that end at once collect once, and closing waits for that', async (at) => {
  collectedAnHourAgo(at.root);
  for (let n = 0; n < 5; n++) {
    at.upkeep.afterBuild('ended');
    await quiet();
    at.written.at(-1)?.resolve();
    await quiet();
  }
  assert.is(at.collections.length, 1);
  let isClosed = false;
  const closed = at.upkeep[Symbol.asyncDispose]().then(() => {
    isClosed = true;
  });
  await quiet();
  assert.not(isClosed);
  at.collections[0]!.resolve();
  await closed;
  assert.ok(Date.now() - statSync(join(at.root, 'collected')).mtimeMs < 60_000);
});

test('a write-back or a collection that fails is a warning', async (at) => {
  at.fails = true;
  at.upkeep.afterBuild('ended');
  at.fails = false;
  collectedAnHourAgo(at.root);
  at.upkeep.afterBuild('ended');
  await quiet();
  at.collections[0]!.reject(new Error('no room'));
  await quiet();
  assert.equal(at.warnings, [
    'new layers could not be written back to disk: the index is gone',
    'the cache could not be collected: no room',
  ]);
});

test.run();
