import { removeUnsound, unsoundRows } from '../../snapshotter/overlay/layers.ts';
import { originalOf } from '../../snapshotter/overlay/sidecar.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { type FormRow, isSoundForm } from '../../snapshotter/store/forms.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { parsedFile, prepareFetched } from '../fetched.ts';
import { isSoundKey, layersOfRecord, unreadableRecords } from '../records.ts';
import type { FsckReport } from './fsck-report.ts';

/**
 * Finds rows that are in order for SQLite but whose content cannot be true. A build treats such a
 * row as missing.
 */
export function checkRows(store: Store, report: FsckReport): void {
  const { db } = store;
  prepareFetched(store);
  for (const id of unsoundRows(store)) {
    report.problems.push({
      what: `the row of the layer ${JSON.stringify(id)} cannot be read`,
      repair: 'it was made again from what is on disk',
      // The first call repairs all rows of this kind.
      mend: () => mendLayers(store),
    });
  }
  for (const key of unreadableRecords(store)) {
    report.problems.push({
      what: `the cache record ${JSON.stringify(key)} cannot be read`,
      repair: 'it was removed; its step runs again',
      mend: () => void db.run('DELETE FROM record WHERE key IS ?', key),
    });
  }
  for (const row of db.all<FormRow>('SELECT * FROM forms')) {
    if (isSoundForm(row) && row.size >= 0) continue;
    report.problems.push({
      what: `the row of the blob ${JSON.stringify(row.digest)} cannot be read`,
      repair: 'it was removed from the index',
      mend: () =>
        void db.run(
          'DELETE FROM forms WHERE diff_id IS ? AND digest IS ?',
          row.diff_id,
          row.digest,
        ),
    });
  }
  for (const { definition, key } of db.all<{ definition: string; key: string }>(
    'SELECT definition, key FROM link',
  )) {
    if (isSoundKey(key) && isSoundKey(definition)) continue;
    report.problems.push({
      what: `the link ${JSON.stringify(definition)} leads to no record`,
      repair: 'it was removed',
      mend: () => void db.run('DELETE FROM link WHERE definition IS ?', definition),
    });
  }
  for (const { request, file } of db.all<{ request: string; file: string }>(
    'SELECT request, file FROM fetched',
  )) {
    if (parsedFile(file)) continue;
    report.problems.push({
      what: 'the row of a fetched file cannot be read',
      repair: 'it was removed; the file is fetched again',
      mend: () => void db.run('DELETE FROM fetched WHERE request IS ?', request),
    });
  }
}

function mendLayers(store: Store): void {
  removeUnsound(store);
  store.recoverAll();
}

/**
 * Records whose layers no longer exist are not a fault, because they are never used. A repair
 * removes them.
 */
export function countRecords(store: Store, report: FsckReport): void {
  const { db } = store;
  const bad = new Set(unreadableRecords(store));
  const there = new Set(
    db.all<{ id: LayerId }>('SELECT id FROM layers').map(({ id }) => originalOf(id).id),
  );
  const sound = db
    .all<{ key: string; outputs: string }>('SELECT key, outputs FROM record')
    .filter(
      ({ key, outputs }) =>
        !bad.has(key) && layersOfRecord(outputs)?.every((layer) => there.has(layer)),
    );
  report.verified.set('records', sound.length);
}
