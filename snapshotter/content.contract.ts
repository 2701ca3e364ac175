import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { asDigest, type Digest, digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import { type BlobForms, type ContentStore, GIVEN_UP } from './content.ts';

export interface ContentUnderTest extends Disposable {
  readonly content: ContentStore;
  readonly forms: BlobForms;
}

function failsWith(code: string, body: () => unknown): void {
  assert.throws(body, (error: unknown) => error instanceof KilnError && error.code === code);
}

/** What every content store and its table of forms must do. */
export function contentContract(name: string, make: () => ContentUnderTest): void {
  const test = suite<{ subject: ContentUnderTest; content: ContentStore; forms: BlobForms }>(name);
  test.before.each((context) => {
    context.subject = make();
    context.content = context.subject.content;
    context.forms = context.subject.forms;
  });
  test.after.each((context) => context.subject[Symbol.dispose]());
  blobTests(test);
  writerTests(test);
  formTests(test);
  leavingTests(test);
  test.run();
}

type Test = ReturnType<
  typeof suite<{ subject: ContentUnderTest; content: ContentStore; forms: BlobForms }>
>;

function blobTests(test: Test): void {
  test('small blobs are read back by their digest', ({ content }) => {
    const digest = content.put(Buffer.from('hello'));
    assert.is(digest, digestOf('hello'));
    assert.is(content.put(Buffer.from('hello')), digest);
    assert.is(content.size(digest), 5);
    assert.equal(content.read(digest), Buffer.from('hello'));
    assert.equal([...content.list()], [{ digest, size: 5 }]);
    content.remove(digest);
    content.remove(digest);
    assert.is(content.size(digest), undefined);
    assert.equal([...content.list()], []);
  });

  test('small blobs that are stored together are all there', async ({ content }) => {
    const texts = ['one', 'two', '', 'one'];
    await content.putAll(texts.map((text) => Buffer.from(text)));
    for (const text of texts) assert.is(content.read(digestOf(Buffer.from(text))).toString(), text);
    await content.putAll([Buffer.from('two'), Buffer.from('three')]);
    assert.is([...content.list()].length, 4);
  });

  test('an absent blob is reported as such', ({ content }) => {
    const digest = digestOf('nothing');
    assert.is(content.size(digest), undefined);
    failsWith('KILN_BLOB_MISSING', () => content.path(digest));
    failsWith('KILN_BLOB_MISSING', () => content.read(digest));
  });

  test('a damaged document is never given out', ({ content }) => {
    const digest = content.put(Buffer.from('hello'));
    writeFileSync(content.path(digest), 'hallo');
    failsWith('KILN_BLOB_CORRUPT', () => content.read(digest));
  });

  test('a blob of the wrong length is replaced when its bytes come again', ({ content }) => {
    const digest = content.put(Buffer.from('hello'));
    writeFileSync(content.path(digest), 'hel');
    content.put(Buffer.from('hello'));
    assert.equal(content.read(digest), Buffer.from('hello'));
  });

  test('text that is not a digest never becomes a path', ({ content }) => {
    const evil = 'sha256:../../../etc/passwd' as Digest;
    for (const body of [
      () => content.size(evil),
      () => content.read(evil),
      () => content.remove(evil),
    ])
      assert.throws(body);
  });
}

function writerTests(test: Test): void {
  test('a stream becomes a blob at commit and not before', ({ content }) => {
    using writer = content.writer();
    const chunk = Buffer.alloc(100_000, 7);
    const hash = createHash('sha256');
    for (let i = 0; i < 5; i++) {
      writer.write(chunk);
      hash.update(chunk);
    }
    assert.is(writer.size, 500_000);
    assert.equal([...content.list()], []);
    const digest = asDigest(`sha256:${hash.digest('hex')}`);
    assert.equal(writer.commit({ digest, size: 500_000 }), { digest, size: 500_000 });
    assert.is(readFileSync(content.path(digest)).length, 500_000);
    assert.not(existsSync(writer.path));
  });

  test('unexpected bytes leave nothing behind', ({ content }) => {
    using writer = content.writer();
    writer.write(Buffer.from('wrong'));
    failsWith('KILN_DIGEST_MISMATCH', () => writer.commit({ digest: digestOf('right') }));
    using short = content.writer();
    short.write(Buffer.from('wrong'));
    failsWith('KILN_DIGEST_MISMATCH', () => short.commit({ size: 4 }));
    assert.equal([...content.list()], []);
    assert.not(existsSync(writer.path));
    assert.not(existsSync(short.path));
  });

  test('an abandoned stream leaves nothing behind', ({ content }) => {
    const writer = content.writer();
    writer.write(Buffer.from('half'));
    writer[Symbol.dispose]();
    assert.not(existsSync(writer.path));
  });

  test('a blob can be followed while it is written', async ({ content }) => {
    const digest = digestOf('a whole');
    assert.is(content.arriving(digest), undefined);
    using writer = content.writer(digest);
    const arriving = content.arriving(digest)!;
    writer.write(Buffer.from('a '));
    assert.is(Atomics.load(arriving.written, 0), 2n);
    writer.write(Buffer.from('whole'));
    assert.is(readFileSync(arriving.path, 'utf8'), 'a whole');
    writer.commit({ digest });
    await arriving.arrived;
    assert.is(content.size(digest), 7);
    assert.is(content.arriving(digest), undefined);
  });

  test('who follows a blob learns that it was given up', async ({ content }) => {
    const digest = digestOf('right');
    const writer = content.writer(digest);
    const arriving = content.arriving(digest)!;
    writer.write(Buffer.from('wrong'));
    failsWith('KILN_DIGEST_MISMATCH', () => writer.commit({ digest }));
    await arriving.arrived.then(
      () => assert.unreachable('it did not arrive'),
      (error: unknown) => assert.instance(error, KilnError),
    );
    assert.is(Atomics.load(arriving.written, 0), GIVEN_UP);
    assert.is(content.arriving(digest), undefined);
  });

  test('two writers of one blob both succeed', ({ content }) => {
    using a = content.writer();
    using b = content.writer();
    assert.is.not(a.path, b.path);
    a.write(Buffer.from('same'));
    b.write(Buffer.from('same'));
    assert.equal(a.commit(), b.commit());
    assert.equal(content.read(digestOf('same')), Buffer.from('same'));
  });

  test('an empty stream is a blob', ({ content }) => {
    using writer = content.writer();
    assert.equal(writer.commit(), { digest: digestOf(''), size: 0 });
    assert.is(content.size(digestOf('')), 0);
  });

  test('a file that a worker wrote and hashed is adopted', ({ content }) => {
    using writer = content.writer();
    writeFileSync(writer.path, 'from a worker');
    writer.adopt(digestOf('from a worker'));
    assert.equal(content.read(digestOf('from a worker')), Buffer.from('from a worker'));
  });
}

function formTests(test: Test): void {
  test('a layer is found in each of its forms, and only while the blob exists', ({
    content,
    forms,
  }) => {
    const diffId = digestOf('tar');
    const gzip = {
      diffId,
      digest: content.put(Buffer.from('gz')),
      size: 2,
      mediaType: MEDIA.ociLayerGzip,
      compression: 'gzip',
    } as const;
    const pulled = { ...gzip, variant: 'pulled' };
    const ours = {
      ...gzip,
      digest: content.put(Buffer.from('gz6')),
      size: 3,
      variant: 'libdeflate-1.14-6',
    };
    assert.is(forms.find(diffId, 'gzip'), undefined);
    forms.record(pulled);
    forms.record(pulled);
    forms.record(ours);
    assert.is(forms.all(diffId).length, 2);
    assert.equal(forms.find(diffId, 'gzip', 'libdeflate-1.14-6'), ours);
    assert.ok(forms.find(diffId, 'gzip'));
    assert.is(forms.find(diffId, 'zstd'), undefined);
    assert.is(forms.find(diffId, 'gzip', 'zlib-9'), undefined);
    assert.equal(forms.all(digestOf('another')), []);
    content.remove(ours.digest);
    assert.equal(forms.all(diffId), [pulled]);
    assert.is(forms.find(diffId, 'gzip', 'libdeflate-1.14-6'), undefined);
    content.put(Buffer.from('gz6'));
    assert.equal(
      forms.find(diffId, 'gzip', 'libdeflate-1.14-6'),
      ours,
      'the form comes back with its blob',
    );
  });
}

/** Larger than any piece in which a blob is read. */
const LARGE = Buffer.from(Array.from({ length: 700_000 }, (_, index) => String(index)).join('\n'));

async function all(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function corrupt(body: () => Promise<unknown>): Promise<void> {
  const error = await body().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.is(error instanceof KilnError && error.code, 'KILN_BLOB_CORRUPT');
}

function leavingTests(test: Test): void {
  test('a blob can be read as a whole, in parts and as a copy', async ({ content }) => {
    const digest = content.put(LARGE);
    assert.ok((await all(content.open(digest))).equals(LARGE));
    assert.ok((await all(content.open(digest, 0, LARGE.length))).equals(LARGE));
    assert.ok((await all(content.open(digest, 5, 3_000_000))).equals(LARGE.subarray(5, 3_000_000)));
    assert.ok((await all(content.open(digest, LARGE.length - 3))).equals(LARGE.subarray(-3)));
    assert.is((await all(content.open(digest, 7, 7))).length, 0);
    assert.is((await all(content.open(content.put(Buffer.alloc(0))))).length, 0);
    using scratch = content.writer();
    await content.copy(digest, scratch.path);
    assert.ok(readFileSync(scratch.path).equals(LARGE));
    await content.verify(digest);
    for await (const _ of content.open(digest)) break;
  });

  for (const [what, damage] of [
    [
      'a changed byte',
      (bytes: Buffer) => void bytes.writeUInt8((bytes.at(-9) ?? 0) ^ 1, bytes.length - 9),
    ],
    ['a lost end', (bytes: Buffer) => bytes.subarray(0, -1)],
    ['bytes behind its end', (bytes: Buffer) => Buffer.concat([bytes, bytes.subarray(0, 1)])],
  ] as const) {
    for (const [how, leave] of [
      ['as a whole', (content: ContentStore, digest: Digest) => all(content.open(digest))],
      ['in part', (content: ContentStore, digest: Digest) => all(content.open(digest, 1, 2))],
      [
        'as a copy',
        (content: ContentStore, digest: Digest, to: string) => content.copy(digest, to),
      ],
      ['nowhere', (content: ContentStore, digest: Digest) => content.verify(digest)],
    ] as const) {
      test(`${what} is found when the blob leaves ${how}; it can be put again`, async ({
        content,
      }) => {
        const digest = content.put(LARGE);
        const bytes = Buffer.from(LARGE);
        writeFileSync(content.path(digest), damage(bytes) ?? bytes);
        using scratch = content.writer();
        await corrupt(async () => leave(content, digest, scratch.path));
        assert.is(content.size(digest), undefined);
        content.put(LARGE);
        assert.ok((await all(content.open(digest))).equals(LARGE));
      });
    }
  }

  test('the last piece of a damaged blob is not given out', async ({ content }) => {
    const digest = content.put(LARGE);
    const bytes = Buffer.from(LARGE);
    bytes.writeUInt8(1, 0);
    writeFileSync(content.path(digest), bytes);
    let seen = 0;
    await corrupt(async () => {
      for await (const piece of content.open(digest)) seen += piece.length;
    });
    assert.ok(seen < LARGE.length);
  });
}
