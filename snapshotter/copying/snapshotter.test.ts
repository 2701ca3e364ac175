import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openServices } from '../overlay/services.ts';
import { type SnapshotterUnderTest, snapshotterContract } from '../snapshotter.contract.ts';
import { thisOwner } from '../store/owner.ts';
import { openStore } from '../store/root.ts';

async function open(root: string, keep = false): Promise<SnapshotterUnderTest> {
  const store = openStore(root);
  await store.swept;
  if (!keep) writeFileSync(join(root, 'snapshotter'), 'copy socket told so by a test\n');
  const { content, snapshotter } = openServices(store);
  if (snapshotter.trees.kind !== 'copy') throw new Error('this store must copy');
  const mine = join(store.tmp, thisOwner());
  return {
    snapshotter,
    content,
    root,
    reopen: () => open(root, true),
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

const crashChild = fileURLToPath(new URL('../overlay/crash.child.ts', import.meta.url));

snapshotterContract('copying snapshotter', {
  make: () => open(mkdtempSync(join(tmpdir(), 'kiln-copying-'))),
  crashChild,
});
