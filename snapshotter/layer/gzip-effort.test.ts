import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createEncoder } from './encoder.ts';
import { GzipEffort } from './gzip-effort.ts';
import { libdeflatePath } from './libdeflate.ts';

const MIB = 1 << 20;
const MODULES = join(import.meta.dirname, '../../node_modules');

/** The levels of pieces whose samples have, by levels 1, 4, 5 and 6, so many bytes. */
function levels(sizes: readonly (readonly [number, number, number, number])[]): number[] {
  let piece = 0;
  const effort = new GzipEffort(
    (_, level) => sizes[piece >> 1]![[1, 4, 5, 6].indexOf(level)] as number,
  );
  return sizes.flatMap((_, at) => {
    piece = at * 2;
    const bytes = Buffer.alloc(MIB);
    return [effort.levelOf(bytes, piece), effort.levelOf(bytes, piece + 1)];
  });
}

test('what no level makes smaller is packed with the quickest', () => {
  assert.equal(levels([[1001, 1000, 1000, 1000]]), [1, 1]);
});

test('what quick levels make larger is packed with the first that is good enough', () => {
  assert.equal(levels([[1100, 1030, 1010, 1000]]), [5, 5]);
  assert.equal(levels([[1100, 1040, 1020, 1000]]), [6, 6]);
});

test('what a piece saves, later ones may spend, and no more', () => {
  const words = [1035, 1002, 1000, 1000] as const;
  assert.equal(
    levels([words, words, words, words, words]).filter((_, at) => at % 2 === 0),
    [4, 4, 1, 4, 4],
  );
});

test('a layer that is too small to be tried gets one level', () => {
  const effort = new GzipEffort(() => {
    throw new Error('nothing is to be tried');
  });
  assert.is(effort.levelOf(Buffer.alloc(1000), 0), 5);
});

/** Sources, then what cannot be packed, then names that a hash made. */
function mixed(): Buffer {
  const sources = globSync(join(MODULES, '**/*.js')).sort().slice(0, 3000);
  const text = Buffer.concat(sources.map((path) => readFileSync(path))).subarray(0, 6 * MIB);
  let names = '';
  for (let n = 0; names.length < 6 * MIB; n++)
    names += `${createHash('md5').update(String(n)).digest('base64')} ${n}\n`;
  return Buffer.concat([text, randomBytes(5 * MIB), Buffer.from(names)]);
}

if (libdeflatePath())
  test('a layer of many kinds is at most 2 % larger than by gzip -6, and sound', async () => {
    const tar = mixed();
    using encoder = createEncoder({ compression: 'gzip' });
    const parts: Buffer[] = [];
    for (let at = 0, index = 0; at < tar.length; at += encoder.piece)
      parts.push(Buffer.from(await encoder.encode(tar.subarray(at, at + encoder.piece), index++)));
    const packed = Buffer.concat(parts);
    assert.ok(gunzipSync(packed).equals(tar));
    const reference = execFileSync('gzip', ['-6', '-n'], { input: tar, maxBuffer: 1 << 30 });
    assert.ok(packed.length <= reference.length * 1.02, `${packed.length} ${reference.length}`);
  });

test.run();
