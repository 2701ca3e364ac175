import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { archive, golden, type Member, member, readAll } from './archive.fixture.ts';
import { Expansion } from './expansion.ts';
import { BLOCK, END_OF_ARCHIVE, encodeHeader, padding } from './tar.ts';
import { TAR_LIMITS, TarReader } from './untar.ts';

const test = suite('tar archives');

function refused(tar: Buffer, pattern: RegExp, code = 'KILN_LAYER_MALFORMED'): void {
  try {
    readAll(tar);
  } catch (error) {
    assert.instance(error, KilnError);
    assert.is((error as KilnError).code, code);
    assert.match((error as KilnError).message, pattern);
    return;
  }
  assert.unreachable(`accepted, although ${pattern}`);
}

/** A header with modified bytes and a correct checksum. */
function header(edit: (block: Buffer) => void): Buffer {
  const block = member({ path: 'f' }).subarray(0, BLOCK);
  edit(block);
  block.write('        ', 148, 8, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return block;
}

/** An extended header of `type` with any body. */
function meta(type: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body);
  const block = header((one) => {
    one.write(type, 156, 1, 'latin1');
    one.write(bytes.length.toString(8).padStart(11, '0'), 124, 11, 'latin1');
  });
  return Buffer.concat([block, bytes, Buffer.alloc(padding(bytes.length))]);
}

function record(key: string, value: string): string {
  const rest = Buffer.byteLength(key) + Buffer.byteLength(value) + 3;
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

test('archives of BuildKit are read, and written again byte for byte', () => {
  for (const name of ['base', 'delta'] as const) {
    const tar = golden(name);
    const entries = readAll(tar);
    const again = Buffer.concat([
      ...entries.flatMap((entry) => [
        encodeHeader(entry),
        entry.content,
        Buffer.alloc(padding(entry.size)),
      ]),
      END_OF_ARCHIVE,
    ]);
    assert.ok(again.equals(tar), name);
  }
});

test('the pieces in which an archive arrives make no difference', () => {
  const tar = golden('delta');
  const whole = readAll(tar);
  for (const step of [1, 7, 511, 512, 513, 4096])
    assert.equal(readAll(tar, step), whole, String(step));
});

test('archives of GNU tar are read in each of its formats', () => {
  const top = mkdtempSync(join(tmpdir(), 'kiln-untar-'));
  try {
    const deep = join('d'.repeat(90), 'e'.repeat(90), 'f'.repeat(90));
    mkdirSync(join(top, deep), { recursive: true });
    writeFileSync(join(top, deep, 'Grüße'), 'x');
    execFileSync('ln', ['-s', 'x'.repeat(200), join(top, 'link')]);
    for (const format of ['gnu', 'pax', 'oldgnu']) {
      const tar = execFileSync('tar', [
        '-C',
        top,
        '--format',
        format,
        '--owner=3000000',
        '-cf',
        '-',
        '.',
      ]);
      const entries = readAll(tar);
      assert.ok(
        entries.some(
          ({ path, content }) => path === `./${deep}/Grüße` && content.toString() === 'x',
        ),
        format,
      );
      assert.is(entries.find(({ path }) => path === './link')?.linkPath, 'x'.repeat(200), format);
      assert.is(entries[0]?.uid, 3_000_000, format);
    }
  } finally {
    rmSync(top, { recursive: true });
  }
});

test("GNU tar reads Kiln's archives", () => {
  const long = `${'n'.repeat(200)}/${'m'.repeat(50)}`;
  const tar = archive(
    { path: 'd/', type: 'directory' },
    { path: long, content: 'x', mtime: { sec: -5, nsec: 0 } },
    { path: 'Grüße', type: 'symlink', linkPath: 'y'.repeat(150) },
    { path: 'big', uid: 3_000_000, gid: 4_000_000 },
  );
  const listed = execFileSync('tar', ['--numeric-owner', '--quoting-style=literal', '-tvf', '-'], {
    input: tar,
    encoding: 'utf8',
  });
  assert.match(listed, new RegExp(`1969-12-31.*${long}`));
  assert.match(listed, /Grüße -> y{150}/);
  assert.match(listed, /3000000\/4000000 .* big/);
});

test('pax records take precedence over the header', () => {
  const pax = meta(
    'x',
    record('path', 'real') +
      record('uid', '7') +
      record('mtime', '-1.25') +
      record('path', 'later'),
  );
  const [entry] = readAll(archive(pax, { path: 'header', uid: 9 }));
  assert.equal(
    [entry?.path, entry?.uid, entry?.mtime],
    ['later', 7, { sec: -2, nsec: 750_000_000 }],
  );
});

test('a global pax header changes nothing', () => {
  const [entry] = readAll(archive(meta('g', record('path', 'global')), { path: 'f' }));
  assert.is(entry?.path, 'f');
});

test('numbers in base 256 are read', () => {
  const [entry] = readAll(
    archive(
      header((block) => {
        block.fill(0, 108, 116);
        block[108] = 0x80;
        block.writeUInt32BE(4_000_000_000, 112);
        block.fill(0xff, 136, 148);
      }),
    ),
  );
  assert.is(entry?.uid, 4_000_000_000);
  assert.equal(entry?.mtime, { sec: -1, nsec: 0 });
});

test('malformed archives are refused', () => {
  const octal = (text: string, at: number, width: number) =>
    header((block) => block.write(text.padEnd(width, '\0'), at, width, 'latin1'));
  refused(archive(octal('9', 124, 12)), /octal/);
  refused(archive(octal('1 7', 124, 12)), /octal/);
  refused(archive(header((block) => block.fill(0xff, 124, 136))), /negative size/);
  refused(archive(header((block) => block.fill(0xff, 108, 116))), /out of range/);
  refused(
    archive(header((block) => (block[124] = 0x80) && block.fill(0x7f, 125, 136))),
    /out of range/,
  );
  refused(archive(header((block) => block.write('S', 156))), /sparse/);
  refused(archive(header((block) => block.write('V', 156))), /unknown type/);
  refused(archive(meta('x', record('GNU.sparse.major', '1')), { path: 'f' }), /sparse/);
  refused(archive(meta('x', record('path', 'a\0b')), { path: 'f' }), /NUL/);
  refused(
    archive(meta('x', record('linkpath', 'a\0b')), { path: 'f', type: 'symlink', linkPath: 'x' }),
    /NUL/,
  );
  refused(archive(meta('x', record('size', '-1')), { path: 'f' }), /number/);
  refused(archive(meta('x', record('size', '99999999999999999')), { path: 'f' }), /number/);
  refused(archive(meta('x', record('mtime', 'yesterday')), { path: 'f' }), /time/);
  for (const body of [
    'no length',
    '5 a=b',
    '999 a=b\n',
    '7 a=b\n',
    '5 ab\n\n',
    '4 =\n\n',
    '-1 a=b\n',
    '99999999999999999999 a=b\n',
  ])
    refused(archive(meta('x', body), { path: 'f' }), /pax/);
  const broken = archive({ path: 'f' });
  broken[0] = 0x67;
  refused(broken, /checksum/);
  refused(Buffer.concat([Buffer.alloc(BLOCK), member({ path: 'f' })]), /zeros/);
});

test('an archive that is cut inside an entry is refused', () => {
  const one = Buffer.concat([
    meta('x', record('path', 'g')),
    member({ path: 'f', content: 'x'.repeat(600) }),
  ]);
  assert.is(readAll(one).length, 1, 'an archive may end without blocks of zeros');
  for (let length = 1; length < one.length; length += 100)
    refused(one.subarray(0, length), /cut short/);
});

test('the limits on entries, paths, headers and size are enforced', () => {
  const limited = (members: (Member | Buffer)[], limits: Partial<typeof TAR_LIMITS>) => {
    const reader = new TarReader({ entry() {}, data() {}, end() {} }, undefined, {
      ...TAR_LIMITS,
      ...limits,
    });
    assert.throws(
      () => reader.push(archive(...members)),
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_LAYER_LIMIT',
    );
  };
  limited([{ path: 'a' }, { path: 'b' }], { entries: 1 });
  limited([{ path: 'a'.repeat(11) }], { path: 10 });
  limited([{ path: 'a', type: 'symlink', linkPath: 'b'.repeat(11) }], { path: 10 });
  limited([meta('x', record('comment', 'c'.repeat(200)))], { meta: 100 });
  limited([{ path: 'a', content: 'x'.repeat(5000) }], { total: 4096 });
  const path = `${'a/'.repeat(2047)}b`;
  assert.is(readAll(archive({ path }))[0]?.path, path);
});

test('entries count with the space that they take on a disk, not only with their headers', () => {
  const one = member({ path: 'e' });
  const many = Buffer.concat(Array.from({ length: 4096 }, () => one));
  const read = (packed: number): string => {
    const expansion = new Expansion('an archive');
    expansion.packed(packed);
    let entries = 0;
    const reader = new TarReader({ entry: () => void entries++, data() {}, end() {} }, expansion);
    try {
      while (entries < 1_000_000) reader.push(many);
      return 'read';
    } catch (error) {
      assert.ok(entries > 400_000 && entries < 700_000, `${entries}`);
      return error instanceof KilnError ? error.code : String(error);
    }
  };
  assert.is(read(100_000), 'KILN_LAYER_LIMIT');
  assert.is(read(4_000_000), 'read');
});

test('an archive with any changed bytes is read or refused', () => {
  const tar = golden('delta');
  const change = fc.array(fc.tuple(fc.nat(tar.length - 1), fc.nat(255)), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(change, fc.integer({ min: 1, max: 3000 }), (edits, step) => {
      const changed = Buffer.from(tar);
      for (const [at, value] of edits) changed[at] = value;
      try {
        readAll(changed, step);
      } catch (error) {
        if (!(error instanceof KilnError)) throw error;
      }
    }),
    { numRuns: process.env['KILN_SOAK'] ? 20_000 : 300 },
  );
});

test('any entry that can be written is read back unchanged', () => {
  const name = fc
    .string({ minLength: 1, maxLength: 300, unit: 'grapheme' })
    .map((text) => text.replaceAll(/[\0/]/g, '_'));
  const entry = fc.record({
    path: fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/')),
    mode: fc.nat(0o7777),
    uid: fc.nat(0xfffffffe),
    gid: fc.nat(0xfffffffe),
    mtime: fc.record({ sec: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), nsec: fc.constant(0) }),
    content: fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
    xattrs: fc.dictionary(
      fc.constantFrom('user.a', 'security.capability'),
      fc.uint8Array({ minLength: 1 }),
    ),
  });
  fc.assert(
    fc.property(entry, ({ xattrs, ...rest }) => {
      const values = new Map(
        Object.entries(xattrs).map(([key, value]) => [key, Buffer.from(value)]),
      );
      const [read] = readAll(archive({ ...rest, xattrs: values }));
      for (const key of ['path', 'mode', 'uid', 'gid', 'content'] as const)
        assert.equal(read?.[key], rest[key], key);
      assert.is(read?.mtime.sec, rest.mtime.sec);
      assert.equal([...read!.xattrs].sort(), [...values].sort());
    }),
    { numRuns: 300 },
  );
});

test.run();
