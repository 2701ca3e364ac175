import { closeSync, constants, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { bytesMismatch } from '../base/content-mismatch.ts';
import { type Digest, hexOf, isDigest } from '../base/digest.ts';
import { errnoOf, KilnError } from '../base/errors.ts';
import type { Descriptor, Index } from '../base/oci.ts';
import { MEDIA } from '../base/oci.ts';
import { attempt, osError, reading } from '../base/oserror.ts';
import { NotRegular, openRegular } from '../snapshotter/sys/regular.ts';
import { openRoot } from '../snapshotter/sys/rooted.ts';
import { indexArchive } from './archive.ts';
import type { BlobSink } from './download.ts';
import { isObject, jsonOf, shown } from './json-fields.ts';
import { MAX_MANIFEST, parseDocument } from './parse-document.ts';

/**
 * An OCI image layout (image-spec, image-layout.md): a directory, or a tar archive of one. Its
 * content is not trusted: every blob is hashed before it is used.
 */
export interface Layout extends Disposable {
  readonly path: string;
  /** The content of index.json. */
  readonly index: Index;
  /**
   * The entry with this tag or digest. Without either it is the entry tagged latest, or the only
   * entry. Throws KILN_IMAGE_NOT_FOUND.
   */
  find(wanted: { readonly tag?: string; readonly digest?: Digest }): Descriptor;
  /** True when there is a file of the digest and size of `descriptor`. Its bytes are not read. */
  has(descriptor: Descriptor): boolean;
  /** A small blob, verified. */
  read(descriptor: Pick<Descriptor, 'digest'>, limit: number): Buffer;
  /** The bytes of a blob from `start` to `end`, not verified. */
  stream(
    descriptor: Descriptor,
    start: number,
    end: number,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Copies a blob into `sink` and commits it. Throws KILN_DIGEST_MISMATCH, KILN_BLOB_NOT_FOUND. */
  copy(
    descriptor: Descriptor,
    sink: BlobSink,
    signal: AbortSignal,
    onProgress: (copied: number) => void,
  ): Promise<void>;
}

export interface LayoutReference {
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const PREFIX = 'oci-layout://';
const REF_NAME = 'org.opencontainers.image.ref.name';
const FULL_NAME = 'io.containerd.image.name';
const CHUNK = 1 << 20;

/** True for a name that says that it is one of an OCI layout. */
export function isLayoutReference(text: string): boolean {
  return text.startsWith(PREFIX);
}

/**
 * Parses `oci-layout://path[:tag][@digest]`. The prefix is optional. When a directory or archive
 * with the whole name exists, the name means that. Throws KILN_REFERENCE_INVALID.
 */
export function parseLayoutReference(text: string): LayoutReference {
  const invalid = (why: string) =>
    new KilnError(
      'KILN_REFERENCE_INVALID',
      `invalid OCI layout reference ${JSON.stringify(text)}: ${why}`,
      {
        hint: 'write oci-layout://PATH, oci-layout://PATH:TAG or oci-layout://PATH@sha256:…',
      },
    );
  const whole = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
  const { path: named, digest } = (isThere(whole) ? undefined : splitDigest(whole)) ?? {
    path: whole,
  };
  if (digest !== undefined && !isDigest(digest))
    throw invalid(`${JSON.stringify(digest)} is not a sha256 digest`);
  const [, before, tag] = (isThere(named) ? undefined : /^(.*):([^/:]*)$/s.exec(named)) ?? [];
  const path = before ?? named;
  if (path === '') throw invalid('the path is missing');
  if (tag === '') throw invalid('the tag is empty');
  return {
    path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/**
 * `@` starts a digest only when ALGORITHM:HEX follows up to the end of the text (image-spec,
 * descriptor.md#digests).
 */
function splitDigest(text: string): { readonly path: string; readonly digest: string } | undefined {
  const form = /^(.*)@(sha(?:256|384|512):[^/:@]*|[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-f]{32,})$/is;
  const [, path, digest] = form.exec(text) ?? [];
  return path === undefined || digest === undefined ? undefined : { path, digest };
}

function isThere(path: string): boolean {
  return path !== '' && existsSync(path);
}

/**
 * The entries in the index of the layout directory `path`, so that more can be added. The list is
 * empty when there is no index yet. Throws KILN_LAYOUT_INVALID.
 */
export function indexedManifests(path: string): readonly Descriptor[] {
  using files = directoryFiles(path);
  const bytes = files.small('index.json', MAX_MANIFEST);
  if (!bytes) return [];
  const document = parseDocument(bytes, MEDIA.ociIndex, `index.json of ${path}`);
  if (document.kind === 'index') return document.index.manifests;
  throw invalidLayout(path, 'its index.json is not an index');
}

/**
 * Opens the layout at the absolute `path`, a directory or a tar archive. Throws
 * KILN_LAYOUT_INVALID, which says what is wrong.
 */
export function openLayout(path: string): Layout {
  const files = layoutFiles(path);
  try {
    checkVersion(files, path);
    const bytes = files.small('index.json', MAX_MANIFEST);
    if (!bytes) throw invalidLayout(path, 'it has no index.json');
    const parsed = parseDocument(bytes, MEDIA.ociIndex, `index.json of ${path}`);
    if (parsed.kind !== 'index') throw invalidLayout(path, 'its index.json is not an index');
    return layoutOver(path, files, parsed.index);
  } catch (error) {
    files[Symbol.dispose]();
    throw error;
  }
}

function layoutOver(path: string, files: LayoutFiles, index: Index): Layout {
  return {
    path,
    index,
    find: (wanted) => findEntry(path, index, wanted),
    has(descriptor) {
      try {
        using file = files.open(blobName(descriptor.digest));
        return file?.size === descriptor.size;
      } catch (error) {
        if (error instanceof KilnError) return false;
        throw error;
      }
    },
    read(descriptor, limit) {
      const bytes = files.small(blobName(descriptor.digest), limit);
      if (!bytes) throw missingBlob(path, descriptor.digest);
      if (bytesMismatch({ digest: descriptor.digest }, bytes) !== undefined)
        throw damagedBlob(path, descriptor.digest);
      return bytes;
    },
    async *stream(descriptor, start, end, signal) {
      using file = files.open(blobName(descriptor.digest));
      if (!file) throw missingBlob(path, descriptor.digest);
      if (file.size !== descriptor.size) throw damagedBlob(path, descriptor.digest);
      for (let at = start; at < end; ) {
        signal.throwIfAborted();
        const bytes = file.read(at, Math.min(CHUNK, end - at));
        if (bytes.length === 0) throw damagedBlob(path, descriptor.digest);
        at += bytes.length;
        yield bytes;
      }
    },
    async copy(descriptor, sink, signal, onProgress) {
      using file = files.open(blobName(descriptor.digest));
      if (!file) throw missingBlob(path, descriptor.digest);
      if (file.size !== descriptor.size) throw damagedBlob(path, descriptor.digest);
      for (let at = 0; at < file.size; ) {
        signal.throwIfAborted();
        const bytes = file.read(at, Math.min(CHUNK, file.size - at));
        if (bytes.length === 0) throw damagedBlob(path, descriptor.digest);
        sink.write(bytes);
        at += bytes.length;
        onProgress(at);
        // Other downloads and the progress view may run between two pieces.
        await new Promise(setImmediate);
      }
      sink.commit({ digest: descriptor.digest, size: descriptor.size });
    },
    [Symbol.dispose]: () => files[Symbol.dispose](),
  };
}

function findEntry(
  path: string,
  index: Index,
  { tag, digest }: { readonly tag?: string; readonly digest?: Digest },
): Descriptor {
  const named = (name: string) =>
    index.manifests.filter(
      ({ annotations = {} }) =>
        annotations[REF_NAME] === name ||
        annotations[FULL_NAME] === name ||
        annotations[FULL_NAME]?.endsWith(`:${name}`),
    );
  const candidates = digest
    ? index.manifests.filter((entry) => entry.digest === digest)
    : named(tag ?? 'latest');
  const [found] =
    candidates.length === 0 && !digest && !tag && index.manifests.length === 1
      ? index.manifests
      : candidates;
  if (found) return found;
  const names = index.manifests
    .map((entry) => entry.annotations?.[REF_NAME] ?? entry.digest)
    .slice(0, 10);
  throw new KilnError(
    'KILN_IMAGE_NOT_FOUND',
    `OCI layout ${path} has no image ${digest ?? tag ?? 'latest'}`,
    {
      place: { kind: 'path', path },
      hint: names.length === 0 ? 'the layout is empty' : `it has ${names.join(', ')}`,
    },
  );
}

/** Access by name to the files of a layout, in a directory or an archive. */
interface LayoutFiles extends Disposable {
  /** The whole file when it exists and has at most `limit` bytes. */
  small(name: string, limit: number): Buffer | undefined;
  open(name: string): LayoutFile | undefined;
}

interface LayoutFile extends Disposable {
  readonly size: number;
  read(offset: number, length: number): Buffer;
}

function layoutFiles(path: string): LayoutFiles {
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(path);
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') throw osError(cause, reading('the OCI layout', path));
    throw new KilnError(
      'KILN_LAYOUT_NOT_FOUND',
      `there is no OCI layout at ${path}: no such directory or archive`,
      {
        place: { kind: 'path', path },
        hint: 'name the archive or directory that there is',
        cause,
      },
    );
  }
  return stat?.isDirectory() ? directoryFiles(path) : archiveFiles(path);
}

function directoryFiles(path: string): LayoutFiles {
  const root = attempt(reading('the OCI layout', path), () => openRoot(path));
  const open = (name: string): LayoutFile | undefined => {
    try {
      const file = openRegular(root, name);
      return file && fileOver(file.fd, path, 0, file.size, () => closeSync(file.fd));
    } catch (error) {
      if (error instanceof NotRegular) throw invalidLayout(path, error.message);
      throw osError(error, {
        ...reading(`${name} of the OCI layout`, path),
        code: 'KILN_LAYOUT_INVALID',
      });
    }
  };
  return {
    open,
    small: (name, limit) => wholeFile(path, name, open(name), limit),
    [Symbol.dispose]: () => root[Symbol.dispose](),
  };
}

function archiveFiles(path: string): LayoutFiles {
  const fd = attempt(reading('the archive', path), () =>
    openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
  );
  try {
    if (!fstatSync(fd).isFile()) throw invalidLayout(path, 'it is neither a directory nor a file');
    const members = indexArchive(fd, path);
    const open = (name: string): LayoutFile | undefined => {
      const member = members.get(name);
      return member && fileOver(fd, path, member.offset, member.size, () => {});
    };
    return {
      open,
      small: (name, limit) => wholeFile(path, name, open(name), limit),
      [Symbol.dispose]: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function fileOver(
  fd: number,
  path: string,
  start: number,
  size: number,
  close: () => void,
): LayoutFile {
  return {
    size,
    read(offset, length) {
      const bytes = Buffer.allocUnsafe(length);
      const count = attempt(reading('the OCI layout', path), () =>
        readSync(fd, bytes, 0, length, start + offset),
      );
      return bytes.subarray(0, count);
    },
    [Symbol.dispose]: close,
  };
}

function wholeFile(
  path: string,
  name: string,
  opened: LayoutFile | undefined,
  limit: number,
): Buffer | undefined {
  if (!opened) return undefined;
  using file = opened;
  if (file.size > limit)
    throw invalidLayout(path, `${name} has ${file.size} bytes, ${limit} are allowed`);
  return file.read(0, file.size);
}

function checkVersion(files: LayoutFiles, path: string): void {
  const marker = files.small('oci-layout', 4096);
  if (!marker) throw invalidLayout(path, 'it has no oci-layout file');
  const document = jsonOf(marker)?.value;
  const version = isObject(document) ? document['imageLayoutVersion'] : undefined;
  if (version !== '1.0.0')
    throw invalidLayout(path, `its layout version is ${shown(version)}, not "1.0.0"`);
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

function invalidLayout(path: string, why: string): KilnError {
  return new KilnError('KILN_LAYOUT_INVALID', `${path} is not an OCI image layout: ${why}`, {
    place: { kind: 'path', path },
  });
}

function missingBlob(path: string, digest: Digest): KilnError {
  return new KilnError('KILN_BLOB_NOT_FOUND', `OCI layout ${path} does not have blob ${digest}`, {
    place: { kind: 'path', path },
  });
}

function damagedBlob(path: string, digest: Digest): KilnError {
  return new KilnError(
    'KILN_DIGEST_MISMATCH',
    `in OCI layout ${path}, the bytes of blob ${digest} do not match its digest`,
    {
      place: { kind: 'path', path },
    },
  );
}
