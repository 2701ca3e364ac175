import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { KilnError } from '../../../base/errors.ts';
import { renameat2 } from '../../../snapshotter/sys/calls.ts';
import { O } from '../../../snapshotter/sys/constants.ts';
import { nameBytes } from '../../../snapshotter/sys/name-bytes.ts';
import { SysError } from '../../../snapshotter/sys/native.ts';
import { listDirectory, openRoot, type Root } from '../../../snapshotter/sys/rooted.ts';
import type { SourceContext } from '../source-context.ts';
import { type GitSource, remoteOf } from './git-source.ts';
import type { GitHost } from './host.ts';
import { type IndexEntry, readIndex } from './index-entries.ts';
import { withObject } from './mirror.ts';
import { type Git, type GitRights, gitFor } from './repository.ts';
import { type Submodule, submodulesOf } from './submodules.ts';

/**
 * The deepest nesting of submodules. No real repository comes near it; a hostile server may nest
 * them endlessly.
 */
const MAX_DEPTH = 32;

/** What checking out a commit needs. */
export interface Checkout {
  readonly source: GitSource;
  readonly host: GitHost;
  readonly context: SourceContext;
  readonly rights: GitRights;
}

/**
 * Writes the files of `object`, or of one directory of it, and those of its submodules to the
 * directory `root`, which must be empty. No `.git` is written. Returns the text of the commit.
 * Rejects with KILN_GIT_SUBDIR, KILN_GIT_SUBMODULE or the errors of `gitFailure`.
 */
export async function checkOut(checkout: Checkout, object: string, root: string): Promise<Buffer> {
  const { source } = checkout;
  if (source.subdir === '') return await fill(checkout, source.remote, object, '', root, 0);
  // The commit is written next to its final place. The wanted directory is then moved there.
  const whole = `.checkout-${randomBytes(8).toString('hex')}`;
  mkdirSync(join(root, whole), { mode: 0o700 });
  const commit = await fill(checkout, source.remote, object, source.subdir, join(root, whole), 0);
  using top = openRoot(root);
  using inner = openRoot(join(root, whole));
  moveUp(inner, top, source);
  top.remove(whole);
  return commit;
}

/**
 * Writes the files of a commit that are in `wanted` to `directory`, and submodules that contain
 * `wanted` or are in it. Returns the text of the commit.
 */
async function fill(
  checkout: Checkout,
  remote: string,
  object: string,
  wanted: string,
  directory: string,
  depth: number,
): Promise<Buffer> {
  const { source, host, context, rights } = checkout;
  const git = gitFor({ ...source, remote }, rights, host, context);
  const { commit, submodules } = await withObject(
    { remote, object },
    host,
    git,
    context.signal,
    async (mirror) => {
      const env = { ...mirror.env, GIT_INDEX_FILE: join(mirror.directory, 'kiln-index') };
      const commit = await git.run(`read the commit ${object}`, ['cat-file', 'commit', object], {
        env,
      });
      const entries = await readIndex(git, env, object);
      if (await usesLfs(git, env, entries)) warnOfLfs(context, remote);
      await writeFiles(
        git,
        env,
        entries.filter((entry) => isWithin(entry.path, wanted)),
        directory,
      );
      return {
        commit,
        submodules: source.submodules ? await submodulesOf(git, env, object, remote, entries) : [],
      };
    },
  );
  for (const submodule of submodules) {
    if (!isWithin(submodule.path, wanted) && !isWithin(wanted, submodule.path)) continue;
    await fillSubmodule(checkout, submodule, wanted, directory, depth);
  }
  return commit;
}

async function fillSubmodule(
  checkout: Checkout,
  submodule: Submodule,
  wanted: string,
  directory: string,
  depth: number,
): Promise<void> {
  const { source, rights } = checkout;
  if (depth >= MAX_DEPTH)
    throw new KilnError(
      'KILN_GIT_SUBMODULE',
      `${source.remote} has submodules within submodules, more than ${MAX_DEPTH} deep`,
    );
  const { remote, login } = remoteOf(submodule.url);
  const inner: Checkout = {
    ...checkout,
    source: { ...source, remote },
    rights: login === undefined ? rights : { authorization: login, scope: remote },
  };
  using root = openRoot(directory);
  const fd = makeDirectory(root, submodule.path);
  try {
    const below = wanted.startsWith(`${submodule.path}/`)
      ? wanted.slice(submodule.path.length + 1)
      : '';
    await fill(inner, remote, submodule.commit, below, `/proc/${process.pid}/fd/${fd}`, depth + 1);
  } finally {
    closeSync(fd);
  }
}

/** True if the .gitattributes at the top of the repository say that files are in Git LFS. */
async function usesLfs(
  git: Git,
  env: Readonly<Record<string, string>>,
  entries: readonly IndexEntry[],
): Promise<boolean> {
  const attributes = entries.find(({ path }) => path === '.gitattributes');
  if (!attributes || attributes.mode === '120000') return false;
  return /\bfilter=lfs\b/.test(
    String(await git.run('read .gitattributes', ['cat-file', 'blob', attributes.id], { env })),
  );
}

/**
 * Warns that files of Git LFS are not fetched. git runs without filters, because they are commands
 * that the repository chooses.
 */
function warnOfLfs({ progress, vertex }: SourceContext, remote: string): void {
  const short =
    `${remote} keeps files in Git LFS: the build gets their pointers of three lines, ` +
    'not the files';
  progress({
    kind: 'warning',
    vertex,
    short,
    detail: ['fetch them with git lfs before the build, and give the directory as the context'],
  });
}

/** Writes the files of `entries` to `directory`. */
async function writeFiles(
  git: Git,
  env: Readonly<Record<string, string>>,
  entries: readonly IndexEntry[],
  directory: string,
): Promise<void> {
  if (entries.length === 0) return;
  const input = nameBytes(entries.map(({ path }) => path).join('\0'));
  const options = { env: { ...env, GIT_WORK_TREE: directory }, cwd: directory, input };
  await git.run(
    'write the files of the commit',
    ['checkout-index', '--force', '--quiet', '-z', '--stdin'],
    options,
  );
}

function isWithin(path: string, directory: string): boolean {
  return directory === '' || path === directory || path.startsWith(`${directory}/`);
}

/**
 * Makes a directory with its parents and returns a descriptor of it. Throws KILN_GIT_SUBMODULE if a
 * symlink of the repository is on the path, which would be an attack.
 */
function makeDirectory(root: Root, path: string): number {
  root.mkdirAll(path, 0o755);
  try {
    return root.open(path, O.PATH | O.DIRECTORY, { noLinks: true });
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new KilnError(
      'KILN_GIT_SUBMODULE',
      `the path of the submodule at ${JSON.stringify(path)} has a symlink in it`,
      { cause: error },
    );
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is not a directory',
  ELOOP: 'has a symlink in its path',
};

/**
 * Moves the files of the wanted directory of `from` to `to`. Each part of its path must be a
 * directory: a symlink could lead anywhere (CVE-2026-33748).
 */
function moveUp(from: Root, to: Root, { subdir, remote, ref }: GitSource): void {
  let fd: number;
  try {
    fd = from.open(subdir, O.RDONLY | O.DIRECTORY, { noLinks: true });
  } catch (error) {
    const reason = error instanceof SysError ? REASONS[error.code] : undefined;
    if (reason === undefined) throw error;
    throw new KilnError(
      'KILN_GIT_SUBDIR',
      `the directory ${JSON.stringify(subdir)} of ${remote}${ref ? `#${ref}` : ''} ${reason}`,
      {
        hint: 'name a directory of the repository',
        cause: error,
      },
    );
  }
  try {
    for (const name of listDirectory(fd)) renameat2(fd, name, to.fd, name);
  } finally {
    closeSync(fd);
  }
}
