import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type SnapshotterUnderTest, snapshotterContract } from '../snapshotter.contract.ts';
import { thisOwner } from '../store/owner.ts';
import { openStore } from '../store/root.ts';
import { openRooms } from './open.ts';

async function open(root: string, keep: boolean): Promise<SnapshotterUnderTest> {
  const store = openStore(root);
  await store.swept;
  const { content, snapshotter } = openRooms(store);
  const mine = join(store.tmp, thisOwner());
  return {
    snapshotter,
    content,
    root,
    reopen: () => open(root, true),
    scratch: () => (existsSync(mine) ? readdirSync(mine).filter((name) => !/^(empty|trash)/.test(name)) : []),
    [Symbol.asyncDispose]: async () => {
      await snapshotter[Symbol.asyncDispose]();
      // The scratch directory belongs to the process, which the first store outlives.
      if (keep) return store.db.close();
      store.close();
      rmSync(root, { recursive: true });
    },
  };
}

snapshotterContract('overlay snapshotter', {
  make: () => open(mkdtempSync(join(tmpdir(), 'kiln-overlay-')), false),
  crashChild: fileURLToPath(new URL('crash.child.ts', import.meta.url)),
});
