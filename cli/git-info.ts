import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { redactUrl } from '../base/redact.ts';
import type { BuildRequest } from '../builder/request.ts';
import { booleanVariable } from './boolean-variable.ts';
import type { BuildOptions } from './build-options.ts';
import { directoryAt } from './context-directory.ts';
import type { WantedGitInfo } from './wanted-git-info.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The labels of the OCI image-spec (annotations.md), and one of docker's. */
const REVISION = 'org.opencontainers.image.revision';
const SOURCE = 'org.opencontainers.image.source';
const DOCKERFILE = 'com.docker.image.source.entrypoint';

/**
 * Returns the request of `options` with what the git repository of its context says, as buildx
 * adds it: the commit (with `-dirty` when BUILDX_GIT_CHECK_DIRTY asks and files have changed), the
 * URL of its remote without a login, and where the Dockerfile and the context are. Labels that the
 * user gives go before. A context outside a repository changes nothing. `warn` gets a sentence when
 * labels were asked for and git does not answer.
 */
export function withGitInfo(
  { request, lentPaths }: BuildOptions,
  wanted: WantedGitInfo,
  env: Environment,
  warn: (sentence: string) => void,
): BuildRequest {
  const lent = request.context.kind === 'directory' && lentPaths.get(request.context.name);
  if (!lent) return request;
  const directory = realpathSync.native(directoryAt(lent.path));
  const git = gitIn(directory, env);
  const root = git('rev-parse', '--show-toplevel');
  if (root === undefined) {
    if (wanted.labels)
      warn(`BUILDX_GIT_LABELS has no effect: ${lent.path} is not in a git repository`);
    return request;
  }
  const commit = git('rev-parse', '--verify', '--quiet', 'HEAD');
  const isDirty =
    commit !== undefined &&
    booleanVariable(env['BUILDX_GIT_CHECK_DIRTY']) === true &&
    git('--no-optional-locks', 'status', '--porcelain', '--ignored') !== '';
  const revision = commit && `${commit}${isDirty ? '-dirty' : ''}`;
  const url = git('remote', 'get-url', 'origin') || git('remote', 'get-url', 'upstream');
  const source = url && redactUrl(url);
  const within = (path: string) => {
    const way = relative(root, path);
    return way === '..' || way.startsWith('../') ? undefined : way;
  };
  const { dockerfile, labels, frontendOptions } = request;
  const file =
    dockerfile.kind === 'file' || dockerfile.kind === 'default'
      ? within(resolve(directory, dockerfile.kind === 'file' ? dockerfile.path : 'Dockerfile'))
      : undefined;
  const ofImage = { [REVISION]: revision, [SOURCE]: source, [DOCKERFILE]: file };
  const ofProvenance = {
    'vcs:revision': revision,
    'vcs:source': source,
    'vcs:localdir:context': within(directory) || '.',
  };
  return {
    ...request,
    labels: wanted.labels ? new Map([...given(ofImage), ...labels]) : labels,
    frontendOptions: wanted.provenance
      ? new Map([...given(ofProvenance), ...frontendOptions])
      : frontendOptions,
  };
}

/**
 * Returns a function that runs git in a directory. It returns the first line, or undefined when git
 * fails. No hook and no monitor of the repository runs. Only `status` may run filters that the
 * repository configures, as whoever sets BUILDX_GIT_CHECK_DIRTY asks for.
 */
function gitIn(cwd: string, env: Environment): (...words: string[]) => string | undefined {
  return (...words) => {
    const { status, stdout } = spawnSync(
      'git',
      ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null', ...words],
      { cwd, env: { ...env, LC_ALL: 'C' }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    return status === 0 ? (stdout.split('\n')[0] ?? '') : undefined;
  };
}

function given(values: Readonly<Record<string, string | undefined>>): [string, string][] {
  return Object.entries(values).filter((entry): entry is [string, string] => !!entry[1]);
}
