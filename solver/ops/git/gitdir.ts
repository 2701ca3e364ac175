import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { KilnError } from '../../../base/errors.ts';
import type { Checkout } from './checkout.ts';
import { keepRef, withObject } from './mirror.ts';
import { gitFor } from './repository.ts';
import type { Resolved } from './resolved.ts';

/**
 * Clones one commit without its history to `root`, for `--keep-git-dir`. The remote is set, and
 * HEAD is detached. As far as git allows it, `.git` does not show when or where it was made: it has
 * no hooks, no logs and no file times in its index. Returns the text of the commit.
 */
export async function cloneInto(
  checkout: Checkout,
  { object, commit, name }: Resolved,
  root: string,
): Promise<Buffer> {
  const { source, host, context, rights } = checkout;
  const git = gitFor(source, rights, host, context);
  const directory = join(root, '.git');
  const env = { GIT_DIR: directory, GIT_WORK_TREE: root };
  const here = { env, cwd: root };
  await withObject({ remote: source.remote, object }, host, git, context.signal, async (mirror) => {
    const format = object.length === 64 ? 'sha256' : 'sha1';
    await git.run(
      'make the .git directory',
      ['init', '--quiet', '--template=', `--object-format=${format}`],
      here,
    );
    // The file protocol is used because git's optimisations for local clones have been exploited to
    // read files of the host.
    const target = name === undefined || name === 'HEAD' ? '' : `:${name}`;
    const fetch = [
      'fetch',
      '--quiet',
      '--update-head-ok',
      '--depth=1',
      '--no-tags',
      '--',
      pathToFileURL(mirror.directory).href,
    ];
    await git.run('copy the commit', [...fetch, `${keepRef(object)}${target}`], {
      ...here,
      protocols: 'file',
    });
  });
  await git.run('set the remote', ['remote', 'add', 'origin', source.remote], here);
  await git.run(
    'write the files of the commit',
    ['checkout', '--quiet', '--detach', commit, '--'],
    here,
  );
  if (source.submodules) {
    const update = async (depth: readonly string[]) => {
      const command = ['submodule', 'update', '--init', '--recursive', ...depth];
      const what = `fetch the submodules of ${source.remote}`;
      await git.run(what, command, { ...here, remote: true });
    };
    try {
      await update(['--depth=1']);
    } catch (error) {
      if (!isNotShallow(error)) throw error;
      await update([]);
    }
  }
  for (const file of ['FETCH_HEAD', 'ORIG_HEAD', 'logs', 'index'])
    rmSync(join(directory, file), { recursive: true, force: true });
  await git.run('write the index', ['read-tree', 'HEAD'], here);
  return await git.run('read the commit', ['cat-file', 'commit', 'HEAD'], here);
}

/** True when a server has only files to download, from which git makes no shallow copy. */
function isNotShallow(error: unknown): boolean {
  return error instanceof KilnError && error.notes.some((note) => /not support shallow/.test(note));
}
