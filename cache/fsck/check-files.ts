import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { errnoOf } from '../../base/errors.ts';
import { tryLockFile } from '../../snapshotter/overlay/filelock.ts';
import { readOwn } from '../../snapshotter/store/own-file.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { removeTree } from '../../snapshotter/sys/removal.ts';
import { readAbout } from '../mounts.ts';
import type { FsckReport } from './fsck-report.ts';

/**
 * Checks the files of the store other than blobs and layers. The content of a cache mount belongs
 * to the steps that wrote it, and cannot be checked.
 */
export function checkFiles(
  { root }: Store,
  searchPath: string | undefined,
  report: FsckReport,
): void {
  checkMemories(join(root, 'statcache'), 'digests of the files of a context', report);
  checkMemories(join(root, 'copies'), 'results of large copies', report);
  checkMounts(join(root, 'caches'), report);
  checkRepositories(join(root, 'git'), searchPath, report);
}

/**
 * The position of the crc32 of the rest of the file, by its first eight bytes; see statcache.ts and
 * copy-index.ts.
 */
const SUM_AT: Readonly<Record<string, { readonly sum: number; readonly from: number }>> = {
  'KILNSC1\n': { sum: 12, from: 16 },
  // The first three are of earlier versions: not damaged, only unknown to a build.
  'KILNEC1\n': { sum: 8, from: 12 },
  'KILNEC2\n': { sum: 8, from: 12 },
  'KILNEC3\n': { sum: 8, from: 12 },
  'KILNEC4\n': { sum: 8, from: 12 },
};

/** A build treats a damaged file as empty. */
function checkMemories(directory: string, what: string, report: FsckReport): void {
  for (const name of namesIn(directory)) {
    const path = join(directory, name);
    // The temporary file of a process that is writing it, or died while writing. In the latter case
    // the garbage collector removes it.
    if (name.endsWith('.tmp') || isWholeMemory(path)) continue;
    report.problems.push({
      what: `the file ${name} (${what}) is damaged`,
      repair: 'it was removed; the files are read again',
      mend: () => rmSync(path, { force: true }),
    });
  }
}

/** The crc32 of the rest in hex, a line break, and the rest; see selection-digests.ts. */
function isKept(bytes: Buffer): boolean {
  const end = bytes.indexOf('\n');
  return (
    end > 0 && crc32(bytes.subarray(end + 1)).toString(16) === bytes.toString('latin1', 0, end)
  );
}

function isWholeMemory(path: string): boolean {
  try {
    const bytes = readOwn(path);
    if (!bytes) return false;
    if (basename(path).startsWith('of-')) return isKept(bytes);
    const at = SUM_AT[bytes.toString('latin1', 0, 8)];
    return (
      at !== undefined &&
      bytes.length >= 16 &&
      crc32(bytes.subarray(at.from)) === bytes.readUInt32LE(at.sum)
    );
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
  }
}

/**
 * Checks the description of each cache mount. Without it the mount works, but its id is unknown.
 */
function checkMounts(directory: string, report: FsckReport): void {
  for (const name of namesIn(directory)) {
    const home = join(directory, name);
    const about = join(home, 'about.json');
    if (!existsSync(about) || readAbout(home)) continue;
    report.problems.push({
      what: `the description of the cache mount ${name} cannot be read`,
      repair: 'it was removed; the next step that uses the mount writes it again',
      mend: () => rmSync(about, { force: true }),
    });
  }
}

/**
 * Checks mirrors of git repositories with git itself, if git exists. A mirror in use is skipped.
 */
function checkRepositories(
  directory: string,
  searchPath: string | undefined,
  report: FsckReport,
): void {
  let verified = 0;
  for (const name of namesIn(directory).filter((one) => !one.endsWith('.lock'))) {
    const path = join(directory, name);
    using held = tryLockFile(`${path}.lock`, 'exclusive', 'unused');
    if (!held) continue;
    const env = {
      PATH: searchPath,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_DIR: path,
    };
    const checked = spawnSync('git', ['fsck', '--no-dangling', '--no-progress'], {
      env,
      cwd: '/',
      stdio: 'ignore',
    });
    rmSync(held.path, { force: true });
    // Without git no step can use the mirror either.
    if (checked.error) continue;
    if (checked.status === 0) verified++;
    else
      report.problems.push({
        what: `the git repository ${name} is damaged`,
        repair: 'it was removed; its commits are fetched again',
        mend: () => void removeTree(path),
      });
  }
  if (verified > 0) report.verified.set('git repositories', verified);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    // Another check reports something that is not a directory.
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return [];
    throw error;
  }
}
