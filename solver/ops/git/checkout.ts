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
 * Submodules within submodules: no real repository comes near it, and a server may make them up
 * without end.
 */
const MAX_DEPTH = 32;

export interface Checkout {
  readonly source: GitSource;
  readonly host: GitHost;
  readonly context: SourceContext;
  readonly rights: GitRights;
}

/**
 * The files of `object`, or of one directory of it, in the directory `root` of ours, with those of
 * its submodules. No `.git` anywhere. Answers the text of the commit. Throws KILN_GIT_SUBDIR,
 * KILN_GIT_SUBMODULE and what gitFailure makes.
 */
export async function checkOut(checkout: Checkout, object: string, root: string): Promise<Buffer> {
  const { source } = checkout;
  if (source.subdir === '') return await fill(checkout, source.remote, object, '', root, 0);
  // Beside its final place, so that the directory wanted can be moved there by name.
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
 * Fills `directory` with what of the commit is in, or leads to, `wanted`. Answers the text of the
 * commit.
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
      if (await usesLfs(git, env, entries)) tellLfs(context, remote);
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

/** Whether the attributes at the top of the repository keep files elsewhere. */
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

/** git runs without filters, which would be commands that the repository names. */
function tellLfs({ progress, vertex }: SourceContext, remote: string): void {
  const short =
    `${remote} keeps files in Git LFS: in the build they are pointers of three ` +
    'lines, not the files';
  progress({
    kind: 'warning',
    vertex,
    short,
    detail: ['fetch them with git lfs before the build, and give the directory as the context'],
  });
}

/** The files of the index below `directory`. */
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

/** `mkdir -p`, and a descriptor of it; a symlink of the repository in its way is an attack. */
function makeDirectory(root: Root, path: string): number {
  root.mkdirAll(path, 0o755);
  try {
    return root.open(path, O.PATH | O.DIRECTORY, { noLinks: true });
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new KilnError(
      'KILN_GIT_SUBMODULE',
      `the submodule at ${JSON.stringify(path)} lies behind a symlink`,
      { cause: error },
    );
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is not a directory',
  ELOOP: 'is, or lies behind, a symlink',
};

/**
 * Every part of the path has to be a directory of the repository: a symlink could lead anywhere
 * (CVE-2026-33748).
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
