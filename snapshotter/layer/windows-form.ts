import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { TarEntry } from './tar.ts';

/**
 * Layers of images for Windows have a form of their own: the files of the system are below `Files`,
 * and its registry is below `Hives`. Extended headers hold what Windows knows of a file and tar
 * does not. What is written is what BuildKit writes (golden files: testdata, made by BuildKit
 * 0.25), with two differences. The two directories have the time 0, not that of the packing, so
 * that equal files are equal layers. A symbolic link keeps its target, before which BuildKit puts
 * `Files/` too.
 */
const FILES = 'Files';

/** The directories that are at the top of a layer as Windows or a builder for Windows makes it. */
const TOP = [FILES, 'Hives', 'UtilityVM'];

/** FILE_ATTRIBUTE_DIRECTORY and FILE_ATTRIBUTE_ARCHIVE. */
const ATTRIBUTE = { directory: '16', file: '32' };
/** The type of a file as in `st_mode`, which is in the mode of a header too. */
const TYPE_BITS = { directory: 0o040000, file: 0o100000 };

/**
 * Security descriptors as Windows keeps them, in base64. Owner and group are administrators and the
 * system, both of which may do anything; users may read and execute, and in directories add.
 * O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)
 * (A;CI;LC;;;BU)(A;CI;DC;;;BU) for directories, O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)
 * (A;;0x1200a9;;;BU) for files.
 */
const SECURITY = {
  directory:
    'AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgCoAAcAAAAAAxgA/wEfAAEC' +
    'AAAAAAAFIAAAACACAAAAAxQA/wEfAAEBAAAAAAAFEgAAAAAAGAD/AR8AAQIAAAAAAAUgAAAAIAIAAAALFAAAAAAQ' +
    'AQEAAAAAAAMAAAAAAAMYAKkAEgABAgAAAAAABSAAAAAhAgAAAAIYAAQAAAABAgAAAAAABSAAAAAhAgAAAAIYAAIA' +
    'AAABAgAAAAAABSAAAAAhAgAA',
  file:
    'AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAEC' +
    'AAAAAAAFIAAAACACAAAAABQA/wEfAAEBAAAAAAAFEgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA==',
};

/** The first two entries of a layer for Windows. */
export function windowsTop(): readonly TarEntry[] {
  return ['Hives', FILES].map((path) => {
    const { records, ...entry } = described({
      type: 'directory',
      path,
      linkPath: '',
      mode: 0,
      uid: 0,
      gid: 0,
      size: 0,
      mtime: { sec: 0, nsec: 0 },
      devMajor: 0,
      devMinor: 0,
      xattrs: new Map(),
    });
    records.delete('MSWINDOWS.rawsd');
    return { ...entry, records };
  });
}

/** An entry of a layer in the form of Windows. */
export function windowsEntry(entry: TarEntry): TarEntry {
  const below = (path: string) => `${FILES}/${path}`;
  return described({
    ...entry,
    path: below(entry.path),
    ...(entry.type === 'hardlink' && { linkPath: below(entry.linkPath) }),
  });
}

/** The entry with what the headers of Windows say of it. Its path remains. */
export function described(entry: TarEntry): TarEntry & { readonly records: Map<string, string> } {
  const { type, mtime } = entry;
  const records = new Map([['LIBARCHIVE.creationtime', `${mtime.sec}.${mtime.nsec}`]]);
  if (type !== 'directory' && type !== 'file') return { ...entry, records };
  records.set('MSWINDOWS.fileattr', ATTRIBUTE[type]);
  records.set('MSWINDOWS.rawsd', SECURITY[type]);
  return { ...entry, mode: entry.mode | TYPE_BITS[type], records };
}

/**
 * True when the directory of a layer has the form of Windows. Builders that know nothing of it make
 * layers for Windows like any other.
 */
export function hasWindowsForm(files: string): boolean {
  return TOP.some((name) => isDirectory(join(files, name)));
}

/** The directory in the layer directory `files` that Windows shows as its drive, if it is there. */
export function windowsFilesIn(files: string): string | undefined {
  const path = join(files, FILES);
  return isDirectory(path) ? path : undefined;
}

/** A link in a layer must not lead out of it. */
function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
