import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { END_OF_ARCHIVE, encodeHeader, NO_XATTRS, padding, type TarEntry } from './tar.ts';
import { TarReader } from './untar.ts';

/** For tests: an entry with the relevant fields, and its content. */
export type Member = Partial<TarEntry> & {
  readonly path: string;
  readonly content?: string | Buffer;
};

/** The bytes of one entry of a tar. */
export function member({ content, ...entry }: Member): Buffer {
  const bytes = Buffer.from(content ?? '');
  const whole: TarEntry = {
    type: 'file',
    linkPath: '',
    mode: entry.type === 'directory' ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    size: bytes.length,
    mtime: { sec: 1_700_000_000, nsec: 0 },
    devMajor: 0,
    devMinor: 0,
    xattrs: NO_XATTRS,
    ...entry,
  };
  return Buffer.concat([encodeHeader(whole), bytes, Buffer.alloc(padding(bytes.length))]);
}

/** A tar of these entries. */
export function archive(...members: (Member | Buffer)[]): Buffer {
  return Buffer.concat([
    ...members.map((one) => (Buffer.isBuffer(one) ? one : member(one))),
    END_OF_ARCHIVE,
  ]);
}

export interface Read extends TarEntry {
  readonly content: Buffer;
}

/** All entries of an archive, pushed in pieces of `step` bytes. */
export function readAll(tar: Buffer, step = tar.length || 1): Read[] {
  const found: Read[] = [];
  let pieces: Buffer[] = [];
  let ended = 0;
  const reader = new TarReader({
    entry(entry) {
      pieces = [];
      found.push({ ...entry, content: Buffer.alloc(0) });
    },
    data: (bytes) => pieces.push(Buffer.from(bytes)),
    end() {
      ended += 1;
      found.push({ ...found.pop()!, content: Buffer.concat(pieces) });
    },
  });
  for (let at = 0; at < tar.length; at += step) reader.push(tar.subarray(at, at + step));
  reader.finish();
  const files = found.filter(({ type }) => type === 'file').length;
  if (files !== ended) throw new Error(`${files} files began and ${ended} ended`);
  return found;
}

/**
 * Layers that Docker 28.5 (BuildKit) made from testdata/Dockerfile: `base` from its first stage,
 * `delta` from its second.
 */
export function golden(name: 'base' | 'delta' | 'windows'): Buffer {
  return gunzipSync(readFileSync(new URL(`testdata/${name}.tar.gz`, import.meta.url)));
}
