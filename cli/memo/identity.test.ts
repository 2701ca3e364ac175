import { mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore } from '../../snapshotter/store/root.ts';
import type { BuildOptions } from '../build-options.ts';
import { identityAt, isStill, isWholeTurn } from './identity.ts';
import { logOf } from './memo-file.ts';
import { BuildWatch } from './watch.ts';

const test = suite<{ root: string }>('identities of the index');
test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'kiln-identity-'));
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

test('each transaction changes the identity of the log, even within one tick', ({ root }) => {
  const log = logOf(root);
  const db = new DatabaseSync(join(root, 'kiln.db'));
  db.exec('PRAGMA journal_mode=WAL; CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0)');
  const sameTick = () => utimesSync(log, 1_700_000_000, 1_700_000_000);
  let turns = 0;
  for (let count = 1; count <= 40; count++) {
    sameTick();
    const before = identityAt(log, 'log');
    const isCertain = isWholeTurn(log);
    db.exec(`UPDATE t SET n = ${count}`);
    sameTick();
    // Without that certainty no build is recalled from what it has written itself.
    if (isCertain) assert.not(isStill(log, 'log', before), `transaction ${count}`);
    else turns++;
    // Now and then the log begins anew, and has more bytes than are in use.
    if (count % 10 === 0) db.exec('PRAGMA wal_checkpoint(RESTART)');
  }
  assert.ok(turns > 0 && turns < 40);
  db.close();
  assert.not(isWholeTurn(log), 'there is no log');
});

test('a build knows whether others have written into the store since it was opened', ({ root }) => {
  const store = openStore(join(root, 'store'));
  const watch = new BuildWatch(store.root, {} as BuildOptions);
  watch.opened(() => store.db.version());
  store.db.exec('CREATE TABLE own (n INTEGER)');
  assert.ok(watch.isAlone());
  const other = openStore(store.root);
  other.db.exec('INSERT INTO own VALUES (1)');
  assert.not(watch.isAlone());
  other.close();
  store.close();
});

test.run();
