import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { collectGarbage } from '../overlay/collection.ts';
import { openContent } from './content.ts';
import { blobHold, heldNames, raiseGate } from './leases.ts';
import { thisOwner } from './owner.ts';
import { openStore, type Store } from './root.ts';

const test = suite<{ dir: string; mine: Store; other: Store }>('leases');
const never = new AbortController().signal;
const bytes = Buffer.from('a blob');
const digest = digestOf(bytes);

test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kiln-leases-'));
  context.mine = openStore(join(context.dir, 'store'));
  context.other = openStore(join(context.dir, 'store'));
  for (const store of [context.mine, context.other])
    store.migrate('forms', ['CREATE TABLE IF NOT EXISTS forms (digest TEXT)']);
});
test.after.each(({ dir, mine, other }) => {
  mine.close();
  other.close();
  rmSync(dir, { recursive: true, force: true });
});

test('names that a store has looked up are held until it is closed', ({ mine, other }) => {
  openContent(mine).put(bytes);
  assert.ok(heldNames(other.root).has(blobHold(digest)));
  mine.close();
  assert.not(heldNames(other.root).has(blobHold(digest)));
});

test('a use holds what it claims until it ends, and what another use claims stays', ({
  mine,
  other,
}) => {
  const [one, two, both] = ['one', 'two', 'both'].map((text) => Buffer.from(text));
  const content = openContent(mine);
  const held = () =>
    [one!, two!, both!].map((blob) => heldNames(other.root).has(blobHold(digestOf(blob))));
  const first = mine.lease.begin();
  content.put(one!);
  content.put(both!);
  const second = mine.lease.begin();
  content.put(two!);
  assert.is(content.size(digestOf(both!)), 4, 'the second use has met it, too');
  assert.equal(held(), [true, true, true]);
  first[Symbol.dispose]();
  assert.equal(held(), [false, true, true]);
  second[Symbol.dispose]();
  assert.equal(held(), [false, false, false]);
  assert.equal(readdirSync(join(mine.root, 'leases')), [], 'nothing is held by nobody');
});

test('what was claimed while two uses ran stays until both have ended', ({ mine, other }) => {
  const first = mine.lease.begin();
  const second = mine.lease.begin();
  openContent(mine).put(bytes);
  const held = () => heldNames(other.root).has(blobHold(digest));
  second[Symbol.dispose]();
  assert.ok(held());
  second[Symbol.dispose]();
  assert.ok(held(), 'a use ends once');
  first[Symbol.dispose]();
  assert.not(held());
});

test('a dead process holds nothing, and its lease is removed', ({ mine }) => {
  openContent(mine).put(bytes);
  const dead = join(mine.root, 'leases', `${thisOwner().replace(/-\d+-\d+$/, '-4194303-1')}-0`);
  writeFileSync(dead, 'lsomething\n');
  assert.not(heldNames(mine.root).has('lsomething'));
  assert.not(existsSync(dead));
});

test('a collector sees what is in use, and removes only what it names', async ({ mine, other }) => {
  const second = Buffer.from('another');
  const content = openContent(mine);
  content.put(bytes);
  content.put(second);
  mine.close();
  const reopened = openStore(mine.root);
  assert.is(openContent(reopened).size(digest), bytes.length);
  await collectGarbage(other, never, ({ inUse }) => {
    assert.ok(inUse({ blob: digest }));
    assert.not(inUse({ blob: digestOf(second) }));
    return { layers: [], blobs: [digestOf(second)] };
  });
  assert.equal(readdirSync(other.blobs), [digest.slice(7)]);
  reopened.close();
});

test('a condemned blob that is requested before it is moved is kept', async ({ mine, other }) => {
  openContent(mine).put(bytes);
  mine.close();
  const user = openStore(other.root);
  {
    using _gate = raiseGate(other.root);
    other.db.run('INSERT INTO condemned (name) VALUES (?)', blobHold(digest));
    assert.is(openContent(user).size(digest), bytes.length);
  }
  await collectGarbage(other, never, () => ({ layers: [], blobs: [] }));
  assert.equal(openContent(user).read(digest), bytes);
  user.close();
});

test('the next collection removes what a killed collector had condemned', async ({
  mine,
  other,
}) => {
  openContent(mine).put(bytes);
  mine.close();
  other.db.run('INSERT INTO condemned (name) VALUES (?)', blobHold(digest));
  await collectGarbage(other, never, () => ({ layers: [], blobs: [] }));
  assert.equal(readdirSync(other.blobs), []);
  assert.is(existsSync(join(other.root, 'leases', 'gate')), false);
});

test.run();
