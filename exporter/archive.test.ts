import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ArchiveEntry, writeArchive } from './archive.ts';

const none = {
  open(): AsyncIterable<Uint8Array> {
    throw new Error('the archive has no blobs');
  },
};

function stream(name: string, chunks: number): ArchiveEntry {
  const chunk = new Uint8Array(100_000);
  return {
    name,
    kind: 'stream',
    mode: 0o644,
    size: chunks * chunk.length,
    async *open() {
      for (let sent = 0; sent < chunks; sent++) yield chunk;
    },
  };
}

test('a large member that waits for a slow sink many times causes no warning of Node', async () => {
  const warnings: Error[] = [];
  process.on('warning', (warning) => warnings.push(warning));
  let received = 0;
  await writeArchive([stream('layer', 100)], none, {
    async write(bytes) {
      received += bytes.length;
      await new Promise(setImmediate);
    },
  });
  assert.ok(received > 10_000_000);
  assert.deepEqual(warnings, []);
});
