import type { Entry } from '../../cache/select/entry.ts';
import type { ScratchDir } from '../../snapshotter/store/scratch.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';
import { walkTree } from '../result-tree.ts';
import { apkPackages, distributionOf, dpkgPackages, npmPackage } from './databases.ts';
import { goPackages } from './golang.ts';
import { withImageFile } from './imagefile.ts';
import type { Distribution, FoundPackage, ReadImageFile } from './package.ts';
import { RPM_DATABASES, RPM_DIRECTORIES, rpmPackages } from './rpm.ts';

export interface Scan {
  /** Sorted, each once. */
  readonly packages: readonly FoundPackage[];
  readonly distribution: string;
  /**
   * Files that exist but cannot be read: rpm's database in its oldest form, Go programs built
   * before Go 1.18.
   */
  readonly unread: readonly string[];
}

const DPKG = 'var/lib/dpkg/status';
const DPKG_PARTS = 'var/lib/dpkg/status.d';
const APK = ['lib/apk/db/installed', 'usr/lib/apk/db/installed'];
const OS_RELEASE = ['etc/os-release', 'usr/lib/os-release'];
const NPM = /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/;

const DATABASE_LIMIT = 64 << 20;
const FILE_LIMIT = 1 << 20;
/** Every Go program is larger than this. */
const PROGRAM_LEAST = 1 << 16;

/**
 * The packages in the mounted tree at `path`. Every path in it is resolved inside it. `scratch`
 * provides a directory for a copy of a database.
 */
export function scanTree(path: string, scratch: (label: string) => ScratchDir): Scan {
  using root = openRoot(path);
  const read: ReadImageFile = (name, limit = FILE_LIMIT) =>
    withImageFile(root, name, limit, (file) => file.read(0, file.size).toString('utf8'));
  const distribution = distributionOf(
    OS_RELEASE.map((name) => read(name)).find((text) => text !== undefined),
  );
  const files = walkTree(path).filter(({ kind }) => kind === 'file');
  const dpkg = [
    DPKG,
    ...files.flatMap(({ path: name }) => (name.startsWith(`${DPKG_PARTS}/`) ? [name] : [])),
  ];
  const unread: string[] = [];
  const found = [
    ...dpkg.flatMap((name) => dpkgPackages(read(name, DATABASE_LIMIT) ?? '', name, distribution)),
    ...APK.flatMap((name) => apkPackages(read(name, DATABASE_LIMIT) ?? '', name, distribution)),
    ...rpmIn(root, files, distribution, scratch, unread),
    ...files.flatMap(({ path: name }) =>
      NPM.test(name) ? (npmPackage(read(name) ?? '', name) ?? []) : [],
    ),
    ...files.flatMap((file) => programIn(root, file, unread)),
  ];
  const unique = new Map(found.map((item) => [`${item.purl} ${item.foundIn}`, item]));
  const order = (item: FoundPackage) => `${item.purl} ${item.foundIn}`;
  return {
    packages: [...unique.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1)),
    distribution: [distribution.id, distribution.version].filter(Boolean).join(' '),
    unread,
  };
}

function rpmIn(
  root: Root,
  files: readonly Entry[],
  distribution: Distribution,
  scratch: (label: string) => ScratchDir,
  unread: string[],
): FoundPackage[] {
  const names = new Set(files.map(({ path }) => path));
  return RPM_DIRECTORIES.flatMap((directory) => {
    const name = RPM_DATABASES.find((form) => names.has(`${directory}/${form}`));
    if (name === undefined) return [];
    const found = rpmPackages(root, directory, name, distribution, () => scratch('rpm'));
    if (!found) unread.push(directory);
    return found ?? [];
  });
}

function programIn(
  root: Root,
  { path, mode, size }: Entry,
  unread: string[],
): readonly FoundPackage[] {
  if (!(mode & 0o111) || size < PROGRAM_LEAST) return [];
  const found = withImageFile(root, path, Number.MAX_SAFE_INTEGER, (file) =>
    goPackages(file, path),
  );
  if (found !== 'old') return found ?? [];
  unread.push(path);
  return [];
}
