import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  apkPackages,
  distributionOf,
  dpkgPackages,
  npmPackage,
} from '../../exporter/sbom/databases.ts';
import { type FoundPackage, soundName, soundVersion } from '../../exporter/sbom/package.ts';
import { RPM_DATABASES, RPM_DIRECTORIES, rpmPackages } from '../../exporter/sbom/rpm.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { PackageKind } from './comparison.ts';
import { TYPE } from './layered-tree.ts';
import type { OpenContents } from './open-contents.ts';
import { readWhole } from './read-files.ts';

const DPKG = ['var/lib/dpkg/status'];
const DPKG_PARTS = 'var/lib/dpkg/status.d';
const APK = ['lib/apk/db/installed', 'usr/lib/apk/db/installed'];
const LOCK = 'package-lock.json';
const MODULES = 'node_modules';
const DATABASE_LIMIT = 64 << 20;
const RPM_LIMIT = 256 << 20;
const FILE_LIMIT = 1 << 20;
const MOST_MODULES = 50_000;
/** Names and versions are the same in all distributions. */
const ANYWHERE = distributionOf(undefined);

/** The packages of an image. */
export interface ImagePackages {
  /** The versions by kind and name, with a NUL between the two. */
  readonly versions: ReadonlyMap<string, ReadonlySet<string>>;
  readonly unreadable: readonly { readonly kind: PackageKind; readonly text: string }[];
}

/**
 * The packages that the databases of package managers in the image name, and the npm packages in
 * directories called node_modules or, when there are none, in a lock file.
 */
export async function imagePackages(
  contents: OpenContents,
  signal: AbortSignal,
): Promise<ImagePackages> {
  const versions = new Map<string, Set<string>>();
  const unreadable: { kind: PackageKind; text: string }[] = [];
  const add = (
    kind: PackageKind,
    { name, version = '' }: Pick<FoundPackage, 'name' | 'version'>,
  ) => {
    const key = `${kind}\0${name}`;
    const known = versions.get(key);
    if (known) known.add(version);
    else versions.set(key, new Set([version]));
  };
  const read = async (
    paths: readonly string[],
    use: (text: string, path: string) => void,
    limit = DATABASE_LIMIT,
  ) => {
    const files = filesAt(contents, paths);
    const whole = (entry: number, bytes: Buffer) => use(String(bytes), files.get(entry)!);
    await readWhole(contents, files.keys(), limit, whole, signal);
  };
  const parts = childrenOf(contents, DPKG_PARTS).map((name) => `${DPKG_PARTS}/${name}`);
  await read([...DPKG, ...parts], (text, path) => {
    for (const one of dpkgPackages(text, path, ANYWHERE)) add('deb', one);
  });
  await read(APK, (text, path) => {
    for (const one of apkPackages(text, path, ANYWHERE)) add('apk', one);
  });
  await addRpm(contents, signal, (one) => add('rpm', one), unreadable);
  const { modules, locks } = npmFiles(contents);
  if (modules.length > MOST_MODULES)
    unreadable.push({ kind: 'npm', text: `there are ${modules.length} packages` });
  else
    await read(
      modules,
      (text, path) => {
        const one = npmPackage(text, path);
        if (one) add('npm', one);
      },
      FILE_LIMIT,
    );
  if (modules.length === 0)
    await read(locks, (text) => {
      for (const one of lockedPackages(text)) add('npm', one);
    });
  return { versions, unreadable };
}

/** The entries with the bytes of the files at these paths, by entry. Links are not followed. */
function filesAt(
  { tree }: Pick<OpenContents, 'tree'>,
  paths: readonly string[],
): Map<number, string> {
  const files = new Map<number, string>();
  for (const path of paths) {
    const node = tree.find(path);
    const entry = node < 0 ? -1 : tree.latestOf(node);
    if (tree.isThere(entry) && tree.typeOf(entry) === TYPE.file)
      files.set(tree.ownerOf(entry), path);
  }
  return files;
}

function childrenOf({ tree }: OpenContents, path: string): string[] {
  const node = tree.find(path);
  return node < 0 ? [] : [...tree.childrenOf(node)].map((child) => tree.nameOf(child));
}

/** The paths of packages in directories called node_modules, and of lock files elsewhere. */
function npmFiles({ tree }: OpenContents): { modules: string[]; locks: string[] } {
  const manifest = tree.names.find('package.json');
  const lock = tree.names.find(LOCK);
  const modules: string[] = [];
  const locks: string[] = [];
  for (let node = 1; node < tree.nodes; node++) {
    const name = tree.nameIdOf(node);
    if ((name !== manifest && name !== lock) || !tree.isThere(tree.latestOf(node))) continue;
    const parts = tree.pathOf(node).split('/');
    if (name === lock) {
      if (!parts.includes(MODULES)) locks.push(parts.join('/'));
      continue;
    }
    const above = parts.at(-3)?.startsWith('@') ? parts.at(-4) : parts.at(-3);
    if (above === MODULES) modules.push(parts.join('/'));
  }
  return { modules, locks };
}

/** The packages of a package-lock.json (docs.npmjs.com, lockfileVersion 2 and 3). */
export function lockedPackages(text: string): Pick<FoundPackage, 'name' | 'version'>[] {
  let packages: unknown;
  try {
    packages = (JSON.parse(text) as Record<string, unknown> | null)?.['packages'];
  } catch {
    return [];
  }
  if (typeof packages !== 'object' || packages === null) return [];
  return Object.entries(packages).flatMap(([path, value]) => {
    const name = path.split(`${MODULES}/`).at(-1) ?? '';
    const version = Object(value)['version'] as unknown;
    return path.includes(`${MODULES}/`) &&
      typeof version === 'string' &&
      soundName(name) &&
      soundVersion(version)
      ? [{ name, version }]
      : [];
  });
}

/** SQLite opens files by path, so the database is copied out of the image. */
async function addRpm(
  contents: OpenContents,
  signal: AbortSignal,
  add: (found: FoundPackage) => void,
  unreadable: { kind: PackageKind; text: string }[],
): Promise<void> {
  for (const directory of RPM_DIRECTORIES) {
    const names = new Set(childrenOf(contents, directory));
    const name = RPM_DATABASES.find(
      (form) => names.has(form) && filesAt(contents, [`${directory}/${form}`]).size > 0,
    );
    if (name === undefined) continue;
    using scratch = contents.scratch('rpm');
    const files = filesAt(contents, [`${directory}/${name}`, `${directory}/${name}-wal`]);
    const keep = (entry: number, bytes: Buffer) => {
      const path = join(scratch.path, files.get(entry)!);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes, { mode: 0o600 });
    };
    await readWhole(contents, files.keys(), RPM_LIMIT, keep, signal);
    using root = openRoot(scratch.path);
    const copy = () => contents.scratch('rpm');
    const found = rpmPackages(root, directory, name, ANYWHERE, copy);
    found?.forEach(add);
    if (!found) unreadable.push({ kind: 'rpm', text: `${directory}/${name} cannot be read` });
  }
}
