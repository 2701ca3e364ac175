import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withLockFile } from '../../snapshotter/overlay/lockfile.ts';
import { openServices } from '../../snapshotter/overlay/services.ts';
import { openStore } from '../../snapshotter/store/root.ts';
import { prune, survey } from './collect.ts';
import { parseFilterFlags } from './filter.ts';
import { OLD_LOGS, otherItems } from './others.ts';
import type { PrunePolicy } from './policy.ts';

const never = new AbortController().signal;
const git: PrunePolicy = {
  name: '',
  ...parseFilterFlags(['type=source.git.checkout']),
  all: false,
  reserved: 0,
  maxUsed: 0,
  minFree: 0,
};

test('a git mirror is in use while its lock is held, and is removed with its lock', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'kiln-others-'));
  const store = openStore(join(dir, 'store'));
  const services = openServices(store);
  try {
    const mirror = join(store.root, 'git', 'abc');
    mkdirSync(mirror, { recursive: true });
    writeFileSync(join(mirror, 'pack'), Buffer.alloc(50_000, 1));
    await withLockFile(`${mirror}.lock`, never, async () => {
      const item = survey(services).find(({ type }) => type === 'source.git.checkout');
      assert.ok(item?.inUse && item.size > 50_000);
      assert.equal(await prune(services, [git], never), []);
    });
    assert.equal(
      (await prune(services, [git], never)).map(({ item }) => item.id),
      ['abc'],
    );
    assert.not(existsSync(mirror));
    assert.not(existsSync(`${mirror}.lock`));
  } finally {
    await services.snapshotter[Symbol.asyncDispose]();
    store.close();
    rmSync(dir, { recursive: true, force: true });
  }
});

test('logs of builds that are over are one item, and pinned ones stay', () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-others-'));
  try {
    const logs = join(root, 'logs');
    const write = (id: string, last: string) =>
      writeFileSync(join(logs, `${id}.jsonl`), `{"build":"${id}"}\n${last}\n`);
    mkdirSync(join(logs, 'over.attached'), { recursive: true });
    mkdirSync(join(logs, 'kept/key'), { recursive: true });
    mkdirSync(join(logs, 'pinned.attached'));
    write('over', '{"ended":1}');
    write('pinned', '{"ended":1}');
    write('runs', '{"kind":"vertex"}');
    writeFileSync(join(logs, 'pinned.pin'), '');
    writeFileSync(join(logs, 'limits.json'), '{}');
    for (const name of ['pinned.pin', 'limits.json']) utimesSync(join(logs, name), 0, 0);
    const of = (id: string) => {
      const found = otherItems({ root }).find((item) => item.id === id);
      return (found?.content.paths ?? []).map((path) => path.slice(logs.length + 1)).sort();
    };
    assert.equal(of(OLD_LOGS), ['kept', 'over.attached', 'over.jsonl']);
    assert.equal(of('logs'), [
      'limits.json',
      'pinned.attached',
      'pinned.jsonl',
      'pinned.pin',
      'runs.jsonl',
    ]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test('a directory that is not a cache mount does not stop the others from being listed', () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-others-'));
  try {
    mkdirSync(join(root, 'caches/good'), { recursive: true });
    writeFileSync(join(root, 'caches/good/0.lock'), '');
    writeFileSync(join(root, 'caches/stray'), '');
    symlinkSync('loop', join(root, 'caches/loop'));
    mkdirSync(join(root, 'caches/odd/0.lock'), { recursive: true });
    const items = otherItems({ root }).filter(({ type }) => type === 'exec.cachemount');
    assert.equal(
      items.map(({ id, inUse }) => [id, inUse]),
      [
        ['good-0', false],
        ['odd-0', true],
      ],
    );
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test.run();
