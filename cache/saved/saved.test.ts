import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import {
  END_OF_ARCHIVE,
  encodeHeader,
  NO_XATTRS,
  type TarEntry,
} from '../../snapshotter/layer/tar.ts';
import { openStore, type Store } from '../../snapshotter/store/root.ts';
import { cacheMountPlaces } from '../gc/others.ts';
import { createCacheMounts } from '../mounts.ts';
import { CHUNK, Chunker } from './chunker.ts';
import { exportMounts } from './export.ts';
import { chunkPath, writeSaved } from './format.ts';
import { importMounts } from './import.ts';

const test = suite<{ dir: string; store: Store; other: Store; saved: string }>(
  'saved cache mounts',
);
const never = new AbortController().signal;

test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kiln-saved-'));
  context.store = openStore(join(context.dir, 'store'));
  context.other = openStore(join(context.dir, 'other'));
  context.saved = join(context.dir, 'saved');
});
test.after.each(({ dir, store, other }) => {
  store.close();
  other.close();
  rmSync(dir, { recursive: true, force: true });
});

async function inMount<T>(store: Store, id: string, use: (directory: string) => T): Promise<T> {
  const mounts = createCacheMounts(join(store.root, 'caches'));
  await using lease = await mounts.lease(
    { id, base: '', sharing: 'shared', fill: async () => {} },
    never,
  );
  return use(lease.directory);
}

function places(store: Store) {
  return cacheMountPlaces(join(store.root, 'caches'));
}

/** Bytes that look random and are the same each time. */
function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

test('a mount is restored as it was: names, modes, owners, exact times, links', async ({
  store,
  other,
  saved,
}) => {
  await inMount(store, '/cargo', (directory) => {
    mkdirSync(join(directory, 'a'));
    writeFileSync(join(directory, 'a', '.wh.not-a-whiteout'), 'x');
    writeFileSync(join(directory, 'big'), noise(3_000_000));
    chmodSync(join(directory, 'big'), 0o4750);
    utimesSync(join(directory, 'big'), 1_600_000_000.25, 1_600_000_000.25);
    symlinkSync('/etc/passwd', join(directory, 'link'));
  });
  await exportMounts(places(store), saved, never);
  await inMount(other, '/cargo', (directory) => writeFileSync(join(directory, 'old'), ''));
  const [mount] = await importMounts(other, saved, () => true, never);
  assert.is(mount?.id, '/cargo');
  await inMount(other, '/cargo', (directory) => {
    assert.equal(readdirSync(directory).sort(), ['a', 'big', 'link']);
    assert.equal(readdirSync(join(directory, 'a')), ['.wh.not-a-whiteout']);
    assert.ok(readFileSync(join(directory, 'big')).equals(noise(3_000_000)));
    const stat = statSync(join(directory, 'big'));
    assert.is(stat.mode & 0o7777, 0o4750);
    assert.is(stat.mtimeMs, 1_600_000_000_250);
    assert.ok(lstatSync(join(directory, 'link')).isSymbolicLink());
  });
});

test('a second export writes only new chunks, and removes those that are not needed', async ({
  store,
  saved,
}) => {
  await inMount(store, '/x', (directory) => {
    for (let at = 0; at < 8; at++)
      writeFileSync(join(directory, `f${at}`), noise(2_000_000, at + 1));
  });
  const first = await exportMounts(places(store), saved, never);
  assert.ok(first.written > 15_000_000);
  assert.is((await exportMounts(places(store), saved, never)).written, 0);
  await inMount(store, '/x', (directory) =>
    writeFileSync(join(directory, 'f3'), noise(2_000_000, 77)),
  );
  const third = await exportMounts(places(store), saved, never);
  assert.ok(
    third.written > 1_900_000 && third.written < 2_000_000 + 4 * CHUNK.most,
    String(third.written),
  );
  const chunks = readdirSync(join(saved, 'chunks'), { recursive: true }).filter((name) =>
    String(name).endsWith('.zst'),
  );
  const stored = chunks.reduce(
    (sum, name) => sum + statSync(join(saved, 'chunks', String(name))).size,
    0,
  );
  assert.ok(stored < 17_000_000, 'the old chunks are removed');
});

test('a chunk of an earlier export that is damaged is written again', async ({
  store,
  other,
  saved,
}) => {
  await inMount(store, '/m', (directory) =>
    writeFileSync(join(directory, 'big'), noise(3_000_000)),
  );
  await exportMounts(places(store), saved, never);
  const chunks = join(saved, 'chunks');
  const [first, second] = readdirSync(chunks).flatMap((name) =>
    readdirSync(join(chunks, name)).map((file) => join(chunks, name, file)),
  );
  writeFileSync(first!, zstdCompressSync(noise(1000)));
  writeFileSync(second!, '');
  assert.ok((await exportMounts(places(store), saved, never)).written > 0);
  assert.is((await exportMounts(places(store), saved, never)).written, 0);
  assert.is((await importMounts(other, saved, () => true, never)).length, 1);
});

test('the same bytes give the same chunks however they arrive; an insertion changes few', () => {
  const cut = (bytes: Buffer, piece: number) => {
    const chunker = new Chunker();
    const found: string[] = [];
    for (let at = 0; at < bytes.length; at += piece)
      for (const chunk of chunker.push(bytes.subarray(at, at + piece))) found.push(digestOf(chunk));
    for (const chunk of chunker.finish()) found.push(digestOf(chunk));
    return found;
  };
  const bytes = noise(12_000_000);
  const whole = cut(bytes, 12_000_000);
  assert.ok(whole.length > 5);
  assert.equal(cut(bytes, 4097), whole);
  const inserted = new Set(
    cut(Buffer.concat([bytes.subarray(0, 100), Buffer.from('new'), bytes.subarray(100)]), 1 << 20),
  );
  assert.ok(whole.filter((digest) => !inserted.has(digest)).length <= 2);
});

/** Saves an archive as if it were an export. */
function forge(saved: string, tar: Buffer, more: { size?: number; digest?: string } = {}): void {
  const digest = digestOf(tar);
  const path = chunkPath(saved, digest);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, zstdCompressSync(tar));
  const chunk = { digest: (more.digest ?? digest) as typeof digest, size: more.size ?? tar.length };
  writeSaved(saved, {
    version: 1,
    mounts: [{ id: 'x', base: '', saved: 0, size: chunk.size, chunks: [chunk] }],
  });
}

function archive(...entries: Partial<TarEntry>[]): Buffer {
  const base = {
    linkPath: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: { sec: 0, nsec: 0 },
    devMajor: 0,
    devMinor: 0,
  };
  const headers = entries.map((entry) =>
    encodeHeader({ ...base, type: 'file', path: 'f', xattrs: NO_XATTRS, ...entry } as TarEntry),
  );
  return Buffer.concat([...headers, END_OF_ARCHIVE]);
}

test('a hostile export harms nothing outside the mount', async ({ dir, other, saved }) => {
  const outside = join(dir, 'outside');
  mkdirSync(outside);
  const attacks: [string, Buffer][] = [
    ['a path that climbs', archive({ path: '../../../../outside/a' })],
    [
      'a link and a file through it',
      archive({ type: 'symlink', path: 'l', linkPath: outside }, { path: 'l/b' }),
    ],
    [
      'a hard link to outside',
      archive({ type: 'hardlink', path: 'h', linkPath: '../../../VERSION' }),
    ],
    ['a device', archive({ type: 'block', path: 'sda', devMajor: 8 })],
    ['no archive', Buffer.alloc(700, 7)],
  ];
  for (const [what, tar] of attacks) {
    forge(saved, tar);
    const error = await importMounts(other, saved, () => true, never).catch(
      (caught: unknown) => caught,
    );
    assert.match(String(error), /malformed|damaged/, what);
    assert.equal(readdirSync(outside), [], what);
  }
  assert.equal(places(other), [], 'nothing was restored');
});

test('a link out of the export is not followed, a pipe is not awaited, no file is quoted', async ({
  dir,
  other,
  saved,
}) => {
  const secret = join(dir, 'secret');
  writeFileSync(secret, 'CANARY-SECRET');
  const tar = archive({ path: 'a' });
  const attempt = () =>
    importMounts(other, saved, () => true, never).then(() => 'restored', String);
  for (const path of [join(saved, 'kiln-caches.json'), chunkPath(saved, digestOf(tar))]) {
    forge(saved, tar);
    rmSync(path);
    symlinkSync(secret, path);
    assert.match(await attempt(), 'is a link that leads to nothing inside');
    rmSync(path);
    execFileSync('mkfifo', [path]);
    assert.match(await attempt(), 'is not a regular file');
    rmSync(path);
    writeFileSync(path, 'CANARY-SECRET');
    assert.not.match(await attempt(), 'CANARY');
    rmSync(path);
  }
});

test('an export is verified: sizes, digests, decompression bombs', async ({ other, saved }) => {
  const tar = archive({ path: 'a' });
  const attempt = () =>
    importMounts(other, saved, () => true, never).then(() => 'restored', String);
  forge(saved, tar, { size: tar.length + 1 });
  assert.match(await attempt(), 'does not match its name');
  forge(saved, tar, { digest: digestOf('other') });
  assert.match(await attempt(), 'missing');
  forge(saved, tar, { size: CHUNK.most + 1 });
  assert.match(await attempt(), 'an impossible size');
  forge(saved, tar);
  writeFileSync(chunkPath(saved, digestOf(tar)), zstdCompressSync(Buffer.alloc(64 << 20)));
  assert.match(await attempt(), 'cannot be read');
  writeFileSync(join(saved, 'kiln-caches.json'), '{"version":2,"mounts":[]}');
  assert.match(await attempt(), 'format is not known');
});

test.run();
