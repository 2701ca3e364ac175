import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assembleJob, gatherJob } from '../copying/jobs.ts';
import { variantOf } from '../layer/encoder.ts';
import { convertJob, describeJob, packJob, replayJob, unpackJob } from '../layer/jobs.ts';
import { type SnapshotterUnderTest, snapshotterContract } from '../snapshotter.contract.ts';
import { thisOwner } from '../store/owner.ts';
import { openStore } from '../store/root.ts';
import { createPool, runInline } from '../workers/pool.ts';
import type { LayerJobs } from './jobs.ts';
import { openServices } from './services.ts';

async function open(root: string, keep: boolean, jobs?: LayerJobs): Promise<SnapshotterUnderTest> {
  const store = openStore(root);
  await store.swept;
  const { content, snapshotter } = openServices(store, jobs);
  const mine = join(store.tmp, thisOwner());
  return {
    snapshotter,
    content,
    root,
    reopen: () => open(root, true, jobs),
    scratch: () =>
      existsSync(mine) ? readdirSync(mine).filter((name) => !/^(empty|trash|view)/.test(name)) : [],
    [Symbol.asyncDispose]: async () => {
      await snapshotter[Symbol.asyncDispose]();
      // Only the database is closed: the scratch directory belongs to the process, and the first
      // store still uses it.
      if (keep) return store.db.close();
      store.close();
      rmSync(root, { recursive: true });
    },
  };
}

const temporary = () => mkdtempSync(join(tmpdir(), 'kiln-overlay-'));
const crashChild = fileURLToPath(new URL('crash.child.ts', import.meta.url));

snapshotterContract('overlay snapshotter', { make: () => open(temporary(), false), crashChild });

// Runs the same tests with every job on a thread, even the small ones.
const pool = createPool({ entry: new URL('worker.fixture.ts', import.meta.url), threads: 2 });
const threaded: LayerJobs = {
  describe: (layer, signal) => pool.run(describeJob, layer, signal),
  unpack: (request, signal) =>
    request.root === undefined
      ? pool.run(unpackJob, request, signal)
      : runInline(unpackJob, request, signal),
  pack: (layer, to, wanted, signal) => pool.run(packJob, { ...layer, to, wanted }, signal),
  convert: (blob, _, to, wanted, signal) => pool.run(convertJob, { blob, to, wanted }, signal),
  replay: (layers, root, signal) => runInline(replayJob, { layers, root }, signal),
  assemble: (input, signal) => pool.run(assembleJob, input, signal),
  gather: (input, signal) => pool.run(gatherJob, input, signal),
  variant: variantOf,
};
snapshotterContract('overlay snapshotter with worker threads', {
  make: () => open(temporary(), false, threaded),
  crashChild,
});
