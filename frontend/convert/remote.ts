import { fileChanges, gitSource, httpSource } from '../../solver/llb/builder.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { GitRef } from './gitref.ts';

/** The tree of a git repository, with the attributes that BuildKit's client gives it. */
export function gitTree(git: GitRef, name: string): DraftEdge {
  const { id, remote, ref, subdir, checksum, keepGitDir, submodules, ssh } = git;
  return gitSource(
    {
      id,
      url: remote,
      ...(ref && { ref }),
      ...(subdir && { subdir }),
      keepGitDir: keepGitDir ?? false,
      ...(checksum && { checksum }),
      skipSubmodules: submodules === false,
      ...(ssh && { ssh: { agent: 'default' } }),
    },
    { name },
  );
}

/**
 * A git repository as a build context; `url` as the user wrote it, for its name in the progress.
 */
export function gitContext(git: GitRef, url: string): DraftEdge {
  return gitTree(git, `[internal] load git source ${withoutLogin(url)}`);
}

/** The one file of `httpTree`. */
export const HTTP_FILE = 'context';

/** What an http server has, as the file HTTP_FILE of an otherwise empty tree. */
export function httpTree(url: string, name: string): DraftEdge {
  return httpSource(url, { filename: HTTP_FILE, note: { name: withoutLogin(name) } });
}

/** The archive that `httpTree` is found to be, unpacked. */
export function unpacked(tree: DraftEdge): DraftEdge {
  const copy = { ...WHOLE, src: `/${HTTP_FILE}`, dirCopyContents: false, attemptUnpackDockerCompatibility: true };
  return fileChanges(undefined, [{ kind: 'copy', from: tree, copy }], { name: `copy /${HTTP_FILE} /` });
}

const WHOLE = {
  dest: '/',
  mode: -1,
  timestamp: -1,
  followSymlink: false,
  dirCopyContents: true,
  attemptUnpackDockerCompatibility: false,
  createDestPath: false,
  allowWildcard: false,
  allowEmptyWildcard: false,
} as const;

function withoutLogin(text: string): string {
  return text.replace(/([a-z]+:\/\/)[^@/\s]*@/i, '$1');
}
