import type { Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { SourceOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import type { StepSession } from '../step-session.ts';
import { gitAuthorization } from './git/auth.ts';
import { type Checkout, checkOut } from './git/checkout.ts';
import { type GitSource, pinned, readGitSource } from './git/git-source.ts';
import { cloneInto } from './git/gitdir.ts';
import type { GitHost } from './git/host.ts';
import { withObject } from './git/mirror.ts';
import { type GitRights, gitFor } from './git/repository.ts';
import { resolveRef } from './git/resolve-ref.ts';
import type { Resolved } from './git/resolved.ts';
import { commitTime, setTimes } from './git/times.ts';
import { contextOfCacheMap, contextOfRun, type SourceContext } from './source-context.ts';

/** The services that git sources use. */
export interface SourceGitWorld {
  readonly snapshotter: Snapshotter;
  readonly git: GitHost;
}

/**
 * The op of a git source: the files of one commit. Its key is made of the commit and the options.
 * The remote is not part of it, because a commit has the same files everywhere. A branch or tag is
 * looked up once per build. The full id of a commit needs no network for its key, beside a ref
 * neither: files that are known by this id are used without a look-up of the ref.
 */
export function sourceGitOp(op: SourceOp, world: SourceGitWorld): Op<BuildResult> {
  const source = readGitSource(op);
  const resolve = (context: SourceContext) => lookUp(source, world.git, context);
  return {
    resource: 'network',
    async cacheMap(signal, report) {
      const id = pinned(source);
      // Whether the ref is that commit is asked when its files are fetched.
      const resolved =
        id === undefined
          ? await resolve(contextOfCacheMap(signal, report))
          : { object: id, commit: id, name: undefined };
      return { parts: keyParts(source, resolved), inputs: [], volatile: false };
    },
    async run(_inputs, runContext) {
      const context = contextOfRun(runContext);
      const resolved = await resolve(context);
      const rights = await rightsOf(source, context.session);
      const checkout: Checkout = { source, host: world.git, context, rights };
      await using active = await world.snapshotter.prepare({ layers: [] });
      // One directory of a repository never gets a .git.
      const keeps = source.keepGitDir && source.subdir === '';
      const commit = keeps
        ? await cloneInto(checkout, resolved, active.root)
        : await checkOut(checkout, resolved.object, active.root);
      setTimes(active.root, commitTime(commit));

      return [{ kind: 'snapshot', snapshot: await active.commit() }];
    },
  };
}

/** What the ref of a git source points to. It is looked up once per build. */
export async function resolveGit(
  op: SourceOp,
  host: GitHost,
  context: SourceContext,
): Promise<Resolved> {
  return await lookUp(readGitSource(op), host, context);
}

async function lookUp(source: GitSource, host: GitHost, context: SourceContext): Promise<Resolved> {
  const id = JSON.stringify([source.remote, source.ref, source.checksum]);
  const { refs } = context.session.found;
  const before = refs.get(id);
  const known = before && (await before.catch(() => undefined));
  if (known) return known;
  const resolving = rightsOf(source, context.session).then((rights) =>
    resolveRef(source, gitFor(source, rights, host, context)),
  );
  refs.set(id, resolving);
  return await resolving;
}

/**
 * The commit, and the annotated tag if the ref is one, as git stores them: what their signatures
 * are about. They are fetched. Throws the errors of `gitFailure`.
 */
export async function gitObjects(
  op: SourceOp,
  { object, commit }: Resolved,
  host: GitHost,
  context: SourceContext,
): Promise<{ readonly commitObject: Buffer; readonly tagObject: Buffer | undefined }> {
  const source = readGitSource(op);
  const git = gitFor(source, await rightsOf(source, context.session), host, context);
  const wanted = { remote: source.remote, object };
  return await withObject(wanted, host, git, context.signal, async ({ env }) => {
    const read = (type: 'commit' | 'tag', id: string) =>
      git.run(`read the ${type} ${id}`, ['cat-file', type, id], { env });
    const tagObject = object === commit ? undefined : await read('tag', object);
    return { commitObject: await read('commit', commit), tagObject };
  });
}

async function rightsOf(source: GitSource, { secret }: StepSession): Promise<GitRights> {
  // As in git, a login in the URL also applies to submodules with relative URLs, which are on the
  // same host.
  if (source.login !== undefined)
    return { authorization: source.login, scope: `${new URL(source.remote).origin}/` };
  return { authorization: await gitAuthorization(source, secret), scope: source.remote };
}

function keyParts(
  { subdir, keepGitDir, submodules, remote }: GitSource,
  { object, commit, name }: Resolved,
) {
  const kept = keepGitDir && subdir === '';
  return [
    { name: 'commit', value: commit },
    { name: 'directory of the repository', value: subdir },
    { name: 'submodules', value: String(submodules) },
    // With its .git directory, the tree also contains the name of the tag or branch and the remote.
    { name: '.git directory', value: kept ? JSON.stringify([object, name ?? '', remote]) : '' },
  ];
}
