import { KilnError } from '../../../base/errors.ts';
import { type GitSource, isCommitId } from './git-source.ts';
import type { Git } from './repository.ts';
import type { Resolved } from './resolved.ts';

/**
 * Looks up the ref at the remote. The full id of a commit needs no look-up. Rejects with
 * KILN_GIT_REF, KILN_GIT_CHECKSUM or the errors of `gitFailure`.
 */
export async function resolveRef(source: GitSource, git: Git): Promise<Resolved> {
  const { ref, checksum } = source;
  const resolved = await found(source, git);
  const { object, commit } = resolved;
  if (checksum === undefined || object.startsWith(checksum) || commit.startsWith(checksum))
    return resolved;
  const got = object === commit ? object : `${object} (commit ${commit})`;
  throw new KilnError(
    'KILN_GIT_CHECKSUM',
    `${ref ?? 'the default branch'} of ${source.remote} is ${got}, expected ${checksum}`,
    {
      hint: 'if the ref was moved on purpose, update the checksum; otherwise do not trust it',
    },
  );
}

/**
 * A commit that is named without a ref is itself what is wanted. The beginning of an id finds no
 * commit: it is compared with the default branch.
 */
async function found(source: GitSource, git: Git): Promise<Resolved> {
  const { ref, checksum, byCommit } = source;
  if (byCommit && checksum !== undefined && isCommitId(checksum)) return itself(checksum);
  if (ref !== undefined) return isCommitId(ref) ? itself(ref) : await named(source, ref, git);
  if (checksum !== undefined && isCommitId(checksum)) return itself(checksum);
  return await defaultBranch(source, git);
}

function itself(id: string): Resolved {
  return { object: id, commit: id, name: undefined };
}

async function defaultBranch({ remote }: GitSource, git: Git): Promise<Resolved> {
  const lines = await listRemote(git, remote, ['--symref'], ['HEAD']);
  const object = lines.find(([id, name]) => isCommitId(id) && name === 'HEAD')?.[0];
  if (object === undefined)
    throw new KilnError('KILN_GIT_REF', `${remote} has no default branch`, {
      hint: 'name a branch: #BRANCH after the URL',
    });
  const target = lines
    .find(([first, name]) => first.startsWith('ref: ') && name === 'HEAD')?.[0]
    .slice('ref: '.length);
  return { object, commit: object, name: target };
}

/**
 * Finds a ref by its name. As with git checkout, a branch is preferred to a tag of the same name.
 */
async function named({ remote }: GitSource, ref: string, git: Git): Promise<Resolved> {
  const lines = await listRemote(git, remote, [], [ref, `${ref}^{}`]);
  const ids = new Map(lines.map(([id, name]) => [name, id]));
  const short = ref.replace(/^refs\//, '');
  const candidates = [
    `refs/${short}`,
    `refs/heads/${ref.replace(/^refs\/heads\//, '')}`,
    `refs/tags/${ref.replace(/^refs\/tags\//, '')}`,
  ];
  const name = candidates.find((candidate) => ids.has(candidate));
  if (name === undefined) {
    const abbreviated = /^[0-9a-f]{4,39}$/.test(ref);
    throw new KilnError('KILN_GIT_REF', `${remote} has no ref ${ref}`, {
      hint: abbreviated
        ? 'if this is a commit, write all its 40 digits'
        : `git ls-remote ${remote} lists its branches and tags`,
    });
  }
  const object = ids.get(name)!;
  return { object, commit: ids.get(`${name}^{}`) ?? object, name };
}

async function listRemote(
  git: Git,
  remote: string,
  options: readonly string[],
  patterns: readonly string[],
): Promise<[string, string][]> {
  const output = await git.run(
    `read ${remote}`,
    ['ls-remote', '--quiet', ...options, '--', remote, ...patterns],
    {
      remote: true,
    },
  );
  return output
    .toString()
    .split('\n')
    .filter((line) => line.includes('\t'))
    .map((line) => line.split('\t', 2) as [string, string]);
}
