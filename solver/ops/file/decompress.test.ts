import { execFileSync } from 'node:child_process';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from '../../../base/errors.ts';
import { Expansion } from '../../../snapshotter/layer/expansion.ts';
import { decompress, type Packing, packingOf } from './decompress.ts';

const MIB = 1 << 20;
const PACK: Readonly<Record<Exclude<Packing, 'none'>, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => gzipSync(bytes),
  bzip2: (bytes) => execFileSync('bzip2', ['-c'], { input: bytes, maxBuffer: 64 * MIB }),
  xz: (bytes) => execFileSync('xz', ['-c', '-1'], { input: bytes, maxBuffer: 64 * MIB }),
  zstd: (bytes) => zstdCompressSync(bytes),
};

/**
 * Decompresses without keeping the bytes. Returns their number, and the code of the error if there
 * was one.
 */
async function unpacked(bytes: Buffer): Promise<readonly [size: number, code: string | undefined]> {
  let size = 0;
  async function* packed() {
    for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536);
  }
  try {
    const signal = new AbortController().signal;
    for await (const piece of decompress(
      packed(),
      packingOf(bytes),
      new Expansion('the archive'),
      signal,
    ))
      size += piece.length;
    return [size, undefined];
  } catch (error) {
    return [size, errnoOf(error) ?? String(error)];
  }
}

for (const [packing, pack] of Object.entries(PACK)) {
  test(`${packing}: several members or frames are one archive; damage is reported`, async () => {
    const parts = [Buffer.alloc(70_000, 'a'), Buffer.from('b'), Buffer.alloc(30_000, 'c')].map(
      pack,
    );
    assert.equal(await unpacked(Buffer.concat(parts)), [100_001, undefined]);
    const cut = parts[0]!.subarray(0, parts[0]!.length - 5);
    assert.is((await unpacked(cut))[1], 'KILN_ARCHIVE_DAMAGED');
    const changed = Buffer.from(parts[0]!);
    for (let at = 8; at < 20; at++) changed[at]! ^= 0x5a;
    assert.is((await unpacked(changed))[1], 'KILN_ARCHIVE_DAMAGED');
  });

  // The format of gzip limits the ratio to 1,030, which is allowed.
  if (packing === 'gzip') continue;
  test(`${packing}: an archive that expands far beyond its size is refused`, async () => {
    const member = pack(Buffer.alloc(32 * MIB));
    const [size, code] = await unpacked(Buffer.concat(Array.from({ length: 40 }, () => member)));
    assert.is(code, 'KILN_LAYER_LIMIT');
    assert.ok(size <= 1025 * MIB, `${size}`);
  });
}

test('an archive with a normal ratio is decompressed beyond a gigabyte', async () => {
  const noise = Buffer.alloc(MIB, 'kiln');
  for (let at = 0; at < MIB; at += 64) noise.writeUInt32LE((at * 2654435761) >>> 0, at);
  const frame = zstdCompressSync(noise);
  assert.ok(MIB / frame.length < 1000);
  assert.equal(await unpacked(Buffer.concat(Array.from({ length: 1100 }, () => frame))), [
    1100 * MIB,
    undefined,
  ]);
});

test.run();
