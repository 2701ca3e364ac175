import { KilnError } from '../../base/errors.ts';
import { cleanPath } from '../../base/gopath.ts';
import { fileChanges, type GitOptions, gitSource, httpSource } from '../../solver/llb/builder.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import { COPY_TREE } from '../../solver/llb/file-op.ts';
import type { GitRef } from './gitref.ts';

/**
 * The tree of a git repository, with the attributes that BuildKit's client uses. Throws
 * KILN_ADD_GIT for a commit to fetch by its id of which the id is not given.
 */
export function gitTree(
  git: GitRef,
  name: string,
  { mtime }: Pick<GitOptions, 'mtime'> = {},
): DraftEdge {
  const { id, remote, ref, subdir, checksum, keepGitDir, submodules, fetchByCommit, ssh } = git;
  if (fetchByCommit && !COMMIT.test(checksum || ref))
    throw new KilnError(
      'KILN_ADD_GIT',
      `${withoutLogin(remote)}: fetch-by-commit needs a checksum or a ref that is the full id of ` +
        'a commit',
      { hint: 'write the 40 digits as checksum=' },
    );
  return gitSource(
    {
      id,
      url: remote,
      ...(ref && { ref }),
      ...(subdir && { subdir }),
      keepGitDir: keepGitDir ?? false,
      ...(checksum && { checksum }),
      skipSubmodules: submodules === false,
      fetchByCommit: fetchByCommit ?? false,
      mtime,
      ...(ssh && { ssh: { agent: 'default' } }),
    },
    { name },
  );
}

/** The full id of a commit. */
const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i;

/** A git repository as a build context. `url`, as the user wrote it, names it in the progress. */
export function gitContext(git: GitRef, url: string): DraftEdge {
  return gitTree(git, `[internal] load git source ${withoutLogin(url)}`, git);
}

/** The only file of `httpTree`. */
export const HTTP_FILE = 'context';

/** The content at a URL, as the file HTTP_FILE of an otherwise empty tree. */
export function httpTree(url: string, name: string): DraftEdge {
  return httpSource(url, { filename: HTTP_FILE, note: { name: withoutLogin(name) } });
}

/** The unpacked archive, for an `httpTree` that turned out to be one. */
export function unpacked(tree: DraftEdge): DraftEdge {
  const copy = {
    ...COPY_TREE,
    src: `/${HTTP_FILE}`,
    dirCopyContents: false,
    attemptUnpackDockerCompatibility: true,
  };
  return fileChanges(undefined, [{ kind: 'copy', from: tree, copy }], {
    name: `copy /${HTTP_FILE} /`,
  });
}

/** The directory `subdir` of a tree as a tree of its own. Undefined means the whole tree. */
export function scoped(tree: DraftEdge, subdir: string | undefined): DraftEdge {
  if (!subdir) return tree;
  const copy = { ...COPY_TREE, src: cleanPath(`/${subdir}`) };
  return fileChanges(undefined, [{ kind: 'copy', from: tree, copy }], {
    name: `copy ${copy.src} /`,
  });
}

function withoutLogin(text: string): string {
  return text.replace(/([a-z]+:\/\/)[^@/\s]*@/i, '$1');
}
