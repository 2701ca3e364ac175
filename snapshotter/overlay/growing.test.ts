import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from '../../base/errors.ts';
import type { GrowingBlob } from '../packer.ts';
import { GrowingFile } from './growing.ts';

const test = suite<{ top: string; path: string }>('files that grow');

test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-growing-'));
  context.path = join(context.top, 'blob');
});
test.after.each(({ top }) => rmSync(top, { recursive: true }));

const PART = Buffer.alloc(5 << 20, 'kiln ');

/** Appends as a worker thread does. */
function append(file: GrowingFile, path: string, bytes: Uint8Array): void {
  appendFileSync(path, bytes);
  Atomics.add(file.written, 0, BigInt(bytes.byteLength));
  Atomics.notify(file.written, 0);
}

async function all(blob: GrowingBlob): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const piece of blob.read()) found.push(piece);
  return Buffer.concat(found);
}

test('a reader gets what is there and what comes, also after a new name', async ({ path, top }) => {
  const begun = Promise.withResolvers<GrowingBlob>();
  const file = new GrowingFile(path, begun.resolve);
  for (let part = 0; part < 2; part++) append(file, path, PART);
  using blob = await begun.promise;
  const reading = all(blob);
  append(file, path, PART);
  file.complete(3 * PART.length);
  rmSync(path);
  writeFileSync(join(top, 'blob'), 'another file');
  const expected = Buffer.concat([PART, PART, PART]);
  assert.ok((await reading).equals(expected));
  assert.ok((await all(blob)).equals(expected), 'and once more');
});

test('nobody is told of a small file', async ({ path }) => {
  let told = 0;
  const file = new GrowingFile(path, () => told++);
  append(file, path, PART);
  await new Promise(setImmediate);
  file.complete(PART.length);
  await new Promise(setImmediate);
  assert.is(told, 0);
});

test('a reader fails when the file is not completed, or is shorter than it should be', async ({
  path,
}) => {
  for (const end of ['failed', 'short']) {
    const begun = Promise.withResolvers<GrowingBlob>();
    const file = new GrowingFile(path, begun.resolve);
    for (let part = 0; part < 2; part++) append(file, path, PART);
    using blob = await begun.promise;
    const reading = all(blob);
    if (end === 'failed') file.fail();
    else file.complete(2 * PART.length + 1);
    assert.is(await reading.then(() => 'done', errnoOf), 'KILN_BLOB_MISSING');
    rmSync(path);
  }
});

test.run();
