import { formatPlatformInFull } from '../../base/platform.ts';
import { formatReference } from '../../base/reference.ts';
import type { OutputSpec } from '../../exporter/output-spec.ts';
import {
  type BuildRequest,
  type CacheFromSpec,
  type CacheToSpec,
  DOCKERFILE_FRONTEND,
  dockerfileName,
  type NamedContextSource,
  placeOfContext,
} from '../request.ts';
import type { Session } from '../session.ts';
import { gitState } from './git-state.ts';

/**
 * The first line of a log: what is built, from where, and since when. What is usual is left out.
 * Arguments stand beside their names in one text, so that a login in a proxy is known as one.
 */
export function headerOf(
  request: BuildRequest,
  session: Session,
  door: string,
): Readonly<Record<string, unknown>> {
  const { context, dockerfile, target, tags } = request;
  const place = placeOfContext(context, (name) => session.shownContext ?? name);
  const file = dockerfile.kind === 'input' ? '-' : dockerfileName(dockerfile);
  const directory = directoryOf(request, session);
  const git = toldGit(request) ?? (directory === undefined ? undefined : gitState(directory));
  return {
    started: Date.now(),
    context: place,
    file,
    target,
    tags,
    directory,
    request: summary(request),
    door,
    // The last one: a build that is recalled reads it again.
    git,
  };
}

/** The path of the context, if it is a directory of this host. */
function directoryOf({ context }: BuildRequest, session: Session): string | undefined {
  if (context.kind !== 'directory') return undefined;
  try {
    const place = session.placeOf(context.name);
    return place.startsWith('/') ? place : undefined;
  } catch {
    // The build is about to say that there is none.
    return undefined;
  }
}

/** What a client has told of its repository, in the words of buildx. */
function toldGit({ frontendOptions }: BuildRequest): unknown {
  const remote = frontendOptions.get('vcs:source');
  const revision = frontendOptions.get('vcs:revision');
  if (remote === undefined && revision === undefined) return undefined;
  const isDirty = revision?.endsWith('-dirty');
  return { remote, commit: revision?.replace(/-dirty$/, ''), ...(isDirty && { isDirty }) };
}

function summary(request: BuildRequest): Readonly<Record<string, unknown>> {
  const { frontend, frontendOptions, platforms, buildArgs, labels } = request;
  const { namedContexts, cacheFrom, cacheTo, outputs } = request;
  const all = {
    frontend: frontend === DOCKERFILE_FRONTEND ? [] : [frontendOptions.get('source') ?? frontend],
    platforms: platforms.map(formatPlatformInFull),
    buildArgs: pairs(buildArgs),
    labels: pairs(labels),
    contexts: [...namedContexts].map(([name, source]) => `${name}=${contextWord(source)}`),
    cacheFrom: cacheFrom.map(cacheWord),
    cacheTo: cacheTo.map(cacheWord),
    outputs: outputs.map(outputWord),
  };
  return Object.fromEntries(Object.entries(all).filter(([, list]) => list.length > 0));
}

function pairs(values: ReadonlyMap<string, string>): readonly string[] {
  return [...values].map(([name, value]) => `${name}=${value}`);
}

function contextWord(source: NamedContextSource): string {
  switch (source.kind) {
    case 'image':
      return `docker-image://${source.ref}`;
    case 'git':
    case 'http':
      return source.url;
    case 'oci-layout':
      return `oci-layout://${source.name}${source.suffix}`;
    case 'directory':
      return `local:${source.name}`;
    case 'graph':
      return 'input:';
    case 'unknown':
      return 'target:';
  }
}

function cacheWord(spec: CacheFromSpec | CacheToSpec): string {
  switch (spec.type) {
    case 'registry':
      return `type=registry,ref=${formatReference(spec.ref)}`;
    case 'local':
      return 'dest' in spec ? `type=local,dest=${spec.dest}` : `type=local,src=${spec.src}`;
    default:
      return `type=${spec.type}`;
  }
}

/** An output in the words of `--output`. */
export function outputWord(spec: OutputSpec): string {
  const words = [`type=${spec.type}`];
  if ('image' in spec && spec.image.names.length > 0)
    words.push(`name=${spec.image.names.map(formatReference).join(' ')}`);
  if (spec.type === 'image' && spec.push) words.push('push=true');
  if ('directory' in spec) words.push(`dest=${spec.directory}`);
  else if ('destination' in spec && spec.destination)
    words.push(`dest=${spec.destination.kind === 'file' ? spec.destination.path : '-'}`);
  return words.join(',');
}
