import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { ProgressSink } from '../base/progress.ts';
import { formatReference, parseReference } from '../base/reference.ts';
import { unknownRules } from '../frontend/check/unknown.ts';
import { gitRefOf } from '../frontend/convert/gitref.ts';
import type { FrontendRequest, ImageResolver, NamedContext } from '../frontend/frontend.ts';
import { ignoreFilter } from '../frontend/ignore.ts';
import { checkSyntax } from '../frontend/syntax.ts';
import { type LayoutReference, parseLayoutReference } from '../registry/layout.ts';
import { hostPlatform } from '../registry/platforms.ts';
import type { BuildOptions } from './build-options.ts';
import type { LoadedContext } from './context/context.ts';
import { directoryAt, isRemote } from './context/context.ts';
import { ignoreOf } from './context/ignore-file.ts';
import { internalStep } from './internal-step.ts';

const LAYOUT = 'oci-layout://';

/** A directory that the graph names as `local://NAME`, and what of it is there as far as the build is concerned. */
export interface LocalSource {
  readonly directory: string;
  readonly filter: ReturnType<typeof ignoreFilter> | undefined;
  /** Names the directory for remembered file digests; absent for one that no later build will see. */
  readonly memory: string | undefined;
}

/** What the frontend is asked, and the directories that its answer will name. */
export interface PreparedRequest {
  readonly request: FrontendRequest;
  readonly locals: ReadonlyMap<string, LocalSource>;
}

/** Paths of the OCI layouts among `--build-context`, by the name of their context. */
export function layoutsOf(options: BuildOptions): ReadonlyMap<string, string> {
  const layouts = [...options.buildContexts].filter(([, value]) => value.startsWith(LAYOUT));
  return new Map(layouts.map(([name, value]) => [name, resolve(parseLayoutReference(value).path)]));
}

export function prepareRequest(
  options: BuildOptions,
  context: LoadedContext,
  resolveImage: ImageResolver,
  signal: AbortSignal,
  warn: ProgressSink,
): PreparedRequest {
  for (const told of [
    ...checkSyntax(context.dockerfile, options.buildArgs.get('BUILDKIT_SYNTAX')),
    ...unknownRules(context.dockerfile, options.buildArgs.get('BUILDKIT_DOCKERFILE_CHECK')),
  ])
    warn(told);
  const locals = new Map<string, LocalSource>();
  const { from, ignore } = context;
  if (from.kind === 'local')
    locals.set('context', { directory: from.directory, filter: ignore && ignoreFilter(ignore), memory: from.memory });
  const namedContexts = new Map<string, NamedContext>();
  for (const [name, value] of options.buildContexts) namedContexts.set(name, namedContext(name, value, locals, warn));
  const request: FrontendRequest = {
    dockerfile: context.dockerfile,
    target: options.target,
    buildArgs: new Map([...(options.proxies ?? []), ...options.buildArgs]),
    labels: options.labels,
    platforms: options.platforms,
    buildPlatform: hostPlatform(),
    noCache: options.noCache,
    pull: options.pull,
    network: options.network,
    extraHosts: options.extraHosts,
    shmSize: options.shmSize,
    ulimits: options.ulimits,
    cgroupParent: options.cgroupParent,
    namedContexts,
    mainContext: {
      ...(from.kind === 'local' ? { kind: 'local', sharedKeyHint: from.directory } : from),
      sessionId: randomBytes(12).toString('hex'),
      ignore: ignore?.patterns.map((pattern) => pattern.text) ?? [],
      ignoreFile: ignore,
    },
    resolveImage,
    epoch: options.epoch,
    signal,
  };
  return { request, locals };
}

/** One `--build-context NAME=VALUE`: an image, an OCI layout, a git repository, a file by http, or a directory. */
function namedContext(name: string, value: string, locals: Map<string, LocalSource>, warn: ProgressSink): NamedContext {
  if (value.startsWith('docker-image://')) return { kind: 'image', ref: value.slice('docker-image://'.length) };
  if (value.startsWith(LAYOUT))
    return { kind: 'oci-layout', store: name, ref: `${name}${layoutSuffix(parseLayoutReference(value))}` };
  if (isRemote(value)) {
    const git = gitRefOf(value);
    if (git && !git.looksLocal) return { kind: 'git', url: value };
    if (/^https?:/.test(value)) return { kind: 'http', url: value };
  }
  const directory = directoryAt(value);
  const ignore = ignoreOf(directory, {}, warn);
  locals.set(name, { directory, filter: ignore && ignoreFilter(ignore), memory: directory });
  return { kind: 'local', name, ignore: ignore?.patterns.map((pattern) => pattern.text) ?? [] };
}

function layoutSuffix({ tag, digest }: LayoutReference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** Shows each look-up in the progress, once for each image and platform, under BuildKit's name for it. */
export function announcedResolver(resolveImage: ImageResolver, progress: ProgressSink): ImageResolver {
  const answers = new Map<string, ReturnType<ImageResolver>>();
  return (ref, platform, options) => {
    const key = `${ref}\0${platform.os}/${platform.architecture}/${platform.variant ?? ''}\0${options.pull}`;
    let answer = answers.get(key);
    if (!answer) {
      answer = internalStep(progress, `[internal] load metadata for ${fullName(ref)}`, () =>
        resolveImage(ref, platform, options),
      );
      answers.set(key, answer);
    }
    return answer;
  };
}

function fullName(ref: string): string {
  if (ref.startsWith('oci-layout://')) return ref;
  const reference = parseReference(ref);
  return formatReference(reference);
}
