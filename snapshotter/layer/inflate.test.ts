import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoOf } from '../../base/errors.ts';
import { inflate, magicOf } from './inflate.ts';

const MIB = 1 << 20;

/** Unpacks a blob and discards the result. Returns the number of bytes, and the error code. */
async function unpacked(blob: string): Promise<readonly [number, string | undefined]> {
  let bytes = 0;
  try {
    for await (const piece of inflate(blob, magicOf(blob))) bytes += piece.length;
    return [bytes, undefined];
  } catch (error) {
    return [bytes, errnoOf(error)];
  }
}

test('a blob that unpacks to too much is refused, and a well-compressed one is not', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-inflate-'));
  try {
    const blob = join(directory, 'blob');
    const frame = zstdCompressSync(Buffer.alloc(64 * MIB));
    writeFileSync(blob, Buffer.concat(Array.from({ length: 2 }, () => frame)));
    assert.equal(await unpacked(blob), [128 * MIB, undefined]);
    writeFileSync(blob, Buffer.concat(Array.from({ length: 100 }, () => frame)));
    const [bytes, code] = await unpacked(blob);
    assert.is(code, 'KILN_LAYER_LIMIT');
    assert.ok(bytes <= 1025 * MIB, `${bytes}`);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('gzip of many members gives its bytes, and what is damaged or cut does not', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-inflate-'));
  try {
    const blob = join(directory, 'blob');
    const parts = [randomBytes(3 * MIB), Buffer.alloc(5 * MIB, 'words '), randomBytes(MIB + 1)];
    const packed = Buffer.concat(parts.map((part) => gzipSync(part)));
    writeFileSync(blob, packed);
    const pieces: Buffer[] = [];
    for await (const piece of inflate(blob, magicOf(blob))) pieces.push(Buffer.from(piece));
    assert.ok(Buffer.concat(pieces).equals(Buffer.concat(parts)));
    writeFileSync(blob, packed.subarray(0, 2 * MIB));
    assert.is((await unpacked(blob))[1], 'KILN_LAYER_MALFORMED');
    writeFileSync(blob, Buffer.from(packed).fill(0xff, MIB, MIB + 64));
    assert.is((await unpacked(blob))[1], 'KILN_LAYER_MALFORMED');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.run();
