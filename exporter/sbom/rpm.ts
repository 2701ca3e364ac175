import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ScratchDir } from '../../snapshotter/store/scratch.ts';
import type { Root } from '../../snapshotter/sys/rooted.ts';
import { formatPurl } from '../attest/purl.ts';
import { withImageFile } from './imagefile.ts';
import { ndbHeaders } from './ndb.ts';
import {
  type Distribution,
  type FoundPackage,
  soundLicence,
  soundName,
  soundVersion,
} from './package.ts';
import { parseRpmHeader, type RpmHeader } from './rpmheader.ts';

/** The directories of the rpm database in older and newer distributions. */
export const RPM_DIRECTORIES = ['var/lib/rpm', 'usr/lib/sysimage/rpm', 'usr/share/rpm'];

const SQLITE = 'rpmdb.sqlite';
const NDB = 'Packages.db';
/** Its file names in all forms. The last is Berkeley DB, which is not supported. */
export const RPM_DATABASES = [SQLITE, NDB, 'Packages'];

const DATABASE_LIMIT = 512 << 20;
const HEADER_LIMIT = 16 << 20;
/** A damaged file may contain the same pages again and again. */
const TOTAL_LIMIT = 2 * DATABASE_LIMIT;

/** The names of distributions in package URLs, where they differ from os-release. */
const NAMESPACES: Readonly<Record<string, string>> = {
  rhel: 'redhat',
  'opensuse-leap': 'opensuse',
  'opensuse-tumbleweed': 'opensuse',
  '': 'rpm',
};

/**
 * The packages in the database `name` in `directory` of the tree. Undefined when it cannot be read.
 */
export function rpmPackages(
  root: Root,
  directory: string,
  name: string,
  distribution: Distribution,
  scratch: () => ScratchDir,
): FoundPackage[] | undefined {
  const path = `${directory}/${name}`;
  const headers =
    name === SQLITE
      ? headersInSqlite(root, path, scratch)
      : name === NDB
        ? withImageFile(root, path, DATABASE_LIMIT, (file) =>
            headersOf(ndbHeaders(file, HEADER_LIMIT)),
          )
        : undefined;
  return headers?.flatMap((header) => packageOf(header, path, distribution) ?? []);
}

/** Any fault of a database is reported as a database that was not read. */
function headersOf(blobs: Iterable<Buffer>): RpmHeader[] | undefined {
  const headers: RpmHeader[] = [];
  let total = 0;
  try {
    for (const blob of blobs) {
      if ((total += blob.length + 64) > TOTAL_LIMIT) return undefined;
      const header = parseRpmHeader(blob);
      if (header) headers.push(header);
    }
    return headers;
  } catch {
    return undefined;
  }
}

/** SQLite opens files by path and writes beside them, so it gets a copy. */
function headersInSqlite(
  root: Root,
  path: string,
  scratch: () => ScratchDir,
): RpmHeader[] | undefined {
  using room = scratch();
  const copy = join(room.path, SQLITE);
  if (!copied(root, path, copy)) return undefined;
  // The latest changes may still be in the log beside the file.
  copied(root, `${path}-wal`, `${copy}-wal`);
  return headersOf(sqliteHeaders(copy));
}

function copied(root: Root, from: string, to: string): boolean {
  const copy = withImageFile(root, from, DATABASE_LIMIT, (file) => {
    const fd = openSync(to, 'wx', 0o600);
    try {
      file.copyTo(fd);
    } finally {
      closeSync(fd);
    }
    return true;
  });
  return copy === true;
}

/** The file is not trusted: no code in its schema is run. */
function* sqliteHeaders(path: string): Generator<Buffer> {
  const db = new DatabaseSync(path);
  try {
    db.exec('PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA query_only=ON');
    const kind = db.prepare("SELECT type FROM sqlite_schema WHERE name = 'Packages'").get();
    if (kind?.['type'] !== 'table') throw new RangeError('it has no table of packages');
    for (const { blob } of db
      .prepare(`SELECT blob FROM Packages WHERE length(blob) < ${HEADER_LIMIT}`)
      .iterate())
      if (blob instanceof Uint8Array) yield Buffer.from(blob.buffer, blob.byteOffset, blob.length);
  } finally {
    db.close();
  }
}

function packageOf(
  header: RpmHeader,
  foundIn: string,
  { id, version: of }: Distribution,
): FoundPackage | undefined {
  const { name, epoch, arch, licence } = header;
  const version = `${header.version}-${header.release}`;
  // Keys of signers are stored in the database like packages.
  if (name === 'gpg-pubkey' || !soundName(name) || !soundVersion(version)) return undefined;
  const qualifiers = {
    arch: arch !== undefined && soundName(arch) ? arch : undefined,
    distro: id && of && `${id}-${of}`,
    epoch: epoch === undefined ? undefined : String(epoch),
  };
  const purl = formatPurl({
    type: 'rpm',
    name: `${NAMESPACES[id] ?? id}/${name}`,
    version,
    qualifiers,
  });
  return {
    name,
    version: epoch === undefined ? version : `${epoch}:${version}`,
    licence: identified(licence),
    purl,
    foundIn,
  };
}

/**
 * Older distributions have their own names for licences, such as GPLv2+. SPDX names end in a
 * version, with a few exceptions.
 */
function identified(licence: string | undefined): string | undefined {
  const names = licence?.split(/ (?:AND|OR|WITH) /) ?? [];
  return names.every((name) => /-\d|^(MIT|ISC|Zlib|curl|OpenSSL)$/.test(name))
    ? soundLicence(licence)
    : undefined;
}
