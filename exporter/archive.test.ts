import { test } from 'uvu';
import * as assert from 'uvu/assert';
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
  assert.equal(warnings, []);
});

test('the error of a sink is thrown wherever in the archive it happens', async () => {
  const entries = Array.from({ length: 8 }, (_, index) =>
    index % 2 === 0
      ? stream(`layer${index}`, 2)
      : ({ name: `m${index}`, kind: 'bytes', mode: 0o644, bytes: Buffer.from('{}') } as const),
  );
  for (let writes = 0; writes < 40; writes++)
    for (const waits of [0, 1, 2, 3]) {
      let left = writes;
      const result = writeArchive(entries, none, {
        async write() {
          for (let turn = 0; turn < waits; turn++) await Promise.resolve();
          if (left-- === 0) throw new Error('the reader has gone');
        },
      });
      const outcome = await result.then(
        () => 'written',
        (error: Error) => error.message,
      );
      assert.ok(
        outcome === 'the reader has gone' || (outcome === 'written' && left >= 0),
        `${writes} ${waits}: ${outcome}`,
      );
    }
});

test.run();
