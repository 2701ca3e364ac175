import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { CancelledError, errnoOf } from '../../base/errors.ts';
import type { WantedForm } from '../packer.ts';
import { setXattr } from '../sys/xattr.ts';
import { readAll } from './archive.fixture.ts';
import { variantOf } from './encoder.ts';
import { convertJob } from './jobs.ts';
import { libdeflatePath, openDeflater } from './libdeflate.ts';
import { describeLayer, type Packed, packLayer } from './pack.ts';
import { unzstd } from './zstd-frames.ts';

const test = suite<{ top: string; files: string }>('packing layers');

test.before.each((context) => {
  context.top = mkdtempSync(join(tmpdir(), 'kiln-pack-'));
  context.files = join(context.top, 'files');
  mkdirSync(context.files);
});
test.after.each(({ top }) => rmSync(top, { recursive: true }));

const job = { check: () => {} };

/** A little more than five megabytes, neither random nor repetitive. */
function fill(files: string): void {
  let text = '';
  for (let n = 0; n < 120_000; n++) text += `${(n * 2654435761) % 1_000_003} line ${n}\n`;
  writeFileSync(join(files, 'big'), text + text.toUpperCase());
  for (let n = 0; n < 50; n++) writeFileSync(join(files, `small${n}`), 'x'.repeat(n * 40));
}

async function packed(
  context: { top: string; files: string },
  wanted: WantedForm,
): Promise<Packed & { bytes: Buffer }> {
  const to = join(context.top, 'blob');
  const made = await packLayer({ files: context.files, to, wanted }, job);
  const bytes = readFileSync(to);
  rmSync(to);
  assert.is(made.digest, digestOf(bytes));
  assert.is(made.size, bytes.length);
  return { ...made, bytes };
}

const python = [
  '-c',
  'import gzip,sys,hashlib; ' +
    'print(hashlib.sha256(gzip.decompress(sys.stdin.buffer.read())).hexdigest())',
];

for (const reproducible of [false, true]) {
  const how = reproducible ? 'the same on every machine' : 'fast';
  test(`other programs can read the gzip, ${how}`, async (context) => {
    if (!reproducible && libdeflatePath() === undefined)
      return console.log('SKIP fast gzip: libdeflate is not installed');
    fill(context.files);
    const { bytes, info } = await packed(context, { compression: 'gzip', reproducible });
    execFileSync('gzip', ['-t'], { input: bytes });
    const names = execFileSync('tar', ['-tzf', '-'], { input: bytes, encoding: 'utf8' })
      .trim()
      .split('\n');
    assert.equal(names, readdirSync(context.files).sort());
    assert.is(
      `sha256:${execFileSync('python3', python, { input: bytes, encoding: 'utf8' }).trim()}`,
      info.diffId,
    );
    const tar = gunzipSync(bytes);
    assert.is(tar.length, info.tarSize);
    const reference = execFileSync('gzip', ['-6', '-n'], { input: tar, maxBuffer: 1 << 30 }).length;
    assert.ok(bytes.length < reference * 1.02, `${bytes.length} bytes, gzip -6 makes ${reference}`);
    assert.equal(
      (await packed(context, { compression: 'gzip', reproducible })).digest,
      digestOf(bytes),
    );
    assert.is(bytes.readUInt32LE(4), 0, 'no time in the header');
  });
}

test('other programs can read the zstd', async (context) => {
  fill(context.files);
  const { bytes, info } = await packed(context, { compression: 'zstd' });
  const tar = execFileSync('zstd', ['-dc'], { input: bytes, maxBuffer: 1 << 30 });
  assert.is(digestOf(tar), info.diffId);
});

test('an empty tree gives an empty tar in each form', async (context) => {
  for (const compression of ['uncompressed', 'gzip', 'zstd'] as const) {
    const { info } = await packed(context, { compression });
    assert.equal(info, await describeLayer({ files: context.files }, job));
    assert.equal([info.empty, info.tarSize], [true, 1024]);
    // The digest that every engine gives an empty layer.
    assert.is(
      info.diffId,
      'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef',
    );
  }
});

test('forms with different bytes have different variants', () => {
  const names = [
    { compression: 'uncompressed' },
    { compression: 'gzip', reproducible: true },
    { compression: 'gzip', reproducible: true, level: 9 },
    { compression: 'zstd' },
    { compression: 'zstd', level: 19 },
  ] satisfies WantedForm[];
  assert.is(new Set(names.map(variantOf)).size, names.length);
});

test('times after the epoch become the epoch, earlier ones stay, fractions go', async (context) => {
  for (const [name, time] of [
    ['early', '@1000.7'],
    ['late', '@3000.2'],
  ] as const) {
    writeFileSync(join(context.files, name), '');
    execFileSync('touch', ['-d', time, join(context.files, name)]);
  }
  const to = join(context.top, 'blob');
  await packLayer(
    { files: context.files, to, wanted: { compression: 'uncompressed' }, clamp: 2000 },
    job,
  );
  assert.equal(
    readAll(readFileSync(to)).map(({ path, mtime }) => [path, mtime.sec, mtime.nsec]),
    [
      ['early', 1000, 0],
      ['late', 2000, 0],
    ],
  );
});

test('hard links repeat the capability, for engines that set each owner', async (context) => {
  if (process.getuid?.() !== 0) return console.log('SKIP capabilities: needs root');
  writeFileSync(join(context.files, 'a'), 'x');
  setXattr(
    join(context.files, 'a'),
    'security.capability',
    Buffer.from('0100000200040000000000000000000000000000', 'hex'),
  );
  execFileSync('ln', [join(context.files, 'a'), join(context.files, 'b')]);
  const { bytes } = await packed(context, { compression: 'uncompressed' });
  const [file, link] = readAll(bytes);
  assert.equal([link?.type, link?.linkPath], ['hardlink', 'a']);
  assert.ok(
    file?.xattrs
      .get('security.capability')
      ?.equals(link?.xattrs.get('security.capability') ?? Buffer.alloc(0)),
  );
});

test('a conversion does not change the tar', async (context) => {
  fill(context.files);
  const first = await packed(context, { compression: 'zstd' });
  const blob = join(context.top, 'from');
  const to = join(context.top, 'to');
  writeFileSync(blob, first.bytes);
  const made = await convertJob.run(
    { blob, to, wanted: { compression: 'gzip', reproducible: true } },
    job,
  );
  assert.is(made.info.diffId, first.info.diffId);
  assert.is(digestOf(gunzipSync(readFileSync(to))), first.info.diffId);
});

test('a cancelled pack ends at once and gives no digest', async (context) => {
  fill(context.files);
  let asked = 0;
  const check = () => {
    if (++asked > 2) throw new CancelledError();
  };
  const packing = packLayer(
    { files: context.files, to: join(context.top, 'blob'), wanted: { compression: 'gzip' } },
    { check },
  );
  assert.is(await packing.then(() => 'done', errnoOf), 'KILN_CANCELLED');
});

async function all(pieces: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for await (const piece of pieces) found.push(piece);
  return found;
}

test('zstd frames are separated however bytes arrive, skippable frames too', async () => {
  const parts = ['one '.repeat(1000), '', 'two'].map((text) => Buffer.from(text));
  const skippable = Buffer.concat([Buffer.from('502a4d1803000000', 'hex'), Buffer.from('abc')]);
  const bytes = Buffer.concat(parts.flatMap((part) => [zstdCompressSync(part), skippable]));
  for (const step of [1, 3, 64, bytes.length]) {
    const pieces = async function* () {
      for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
    };
    assert.is(
      Buffer.concat(await all(unzstd(pieces(), 65536))).toString(),
      parts.join(''),
      String(step),
    );
  }
  const cut = async function* () {
    yield bytes.subarray(0, bytes.length - 30);
  };
  assert.is(await all(unzstd(cut(), 65536)).then(() => 'done', errnoOf), 'KILN_LAYER_MALFORMED');
  const wrong = async function* () {
    yield gzipSync('x');
  };
  assert.is(await all(unzstd(wrong(), 65536)).then(() => 'done', errnoOf), 'KILN_LAYER_MALFORMED');
});

const library = libdeflatePath();
if (library)
  test('a compressor gives its memory back: a server packs layers for weeks', async () => {
    const open = openDeflater(library, 5);
    const input = randomBytes(1 << 20);
    const output = Buffer.allocUnsafeSlow(2 << 20);
    const residentAfter = async (count: number) => {
      for (let made = 0; made < count; made++) {
        using deflater = open();
        await deflater.member(input, output);
      }
      return process.memoryUsage.rss();
    };
    const before = await residentAfter(20);
    // These would keep 40 MB.
    assert.ok((await residentAfter(200)) < before + (16 << 20));
  });

test.run();
