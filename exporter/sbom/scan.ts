import { closeSync, readSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { fstat } from '../../snapshotter/sys/calls.ts';
import { O, S } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';
import { walkTree } from '../tree.ts';
import { apkPackages, distributionOf, dpkgPackages, npmPackage } from './databases.ts';
import type { FoundPackage, ReadImageFile } from './package.ts';

export interface Scan {
  /** Sorted, each once. */
  readonly packages: readonly FoundPackage[];
  readonly distribution: string;
  /** Databases that are there and are not read, such as rpm's. */
  readonly unread: readonly string[];
}

const DPKG = 'var/lib/dpkg/status';
const DPKG_PARTS = 'var/lib/dpkg/status.d';
const APK = ['lib/apk/db/installed', 'usr/lib/apk/db/installed'];
const RPM = ['var/lib/rpm', 'usr/lib/sysimage/rpm', 'usr/share/rpm'];
const OS_RELEASE = ['etc/os-release', 'usr/lib/os-release'];
const NPM = /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/;

const DATABASE_LIMIT = 64 << 20;
const FILE_LIMIT = 1 << 20;

/** The packages in the mounted tree at `path`. Every path in it is resolved inside it. */
export function scanTree(path: string): Scan {
  using root = openRoot(path);
  const read: ReadImageFile = (name, limit = FILE_LIMIT) => readIn(root, name, limit);
  const distribution = distributionOf(OS_RELEASE.map((name) => read(name)).find((text) => text !== undefined));
  const files = walkTree(path).filter(({ kind }) => kind === 'file');
  const dpkg = [DPKG, ...files.flatMap(({ path: name }) => (name.startsWith(`${DPKG_PARTS}/`) ? [name] : []))];
  const found = [
    ...dpkg.flatMap((name) => dpkgPackages(read(name, DATABASE_LIMIT) ?? '', name, distribution)),
    ...APK.flatMap((name) => apkPackages(read(name, DATABASE_LIMIT) ?? '', name, distribution)),
    ...files.flatMap(({ path: name }) => (NPM.test(name) ? (npmPackage(read(name) ?? '', name) ?? []) : [])),
  ];
  const unique = new Map(found.map((item) => [`${item.purl} ${item.foundIn}`, item]));
  const order = (item: FoundPackage) => `${item.purl} ${item.foundIn}`;
  return {
    packages: [...unique.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1)),
    distribution: [distribution.id, distribution.version].filter(Boolean).join(' '),
    unread: RPM.filter((directory) => files.some(({ path: name }) => name.startsWith(`${directory}/`))),
  };
}

function readIn(root: Root, name: string, limit: number): string | undefined {
  let fd: number;
  try {
    fd = root.open(name, O.RDONLY | O.NONBLOCK);
  } catch (error) {
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
  try {
    const { mode, size } = fstat(fd);
    if ((mode & S.IFMT) !== S.IFREG || size > limit) return undefined;
    const bytes = Buffer.alloc(size);
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, size, 0));
  } finally {
    closeSync(fd);
  }
}
