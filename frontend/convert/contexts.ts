import { KilnError } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatformInFull, normalisePlatform, type Platform } from '../../base/platform.ts';
import {
  familiarName,
  formatReference,
  tryParseReference,
  withoutLatest,
} from '../../base/reference.ts';
import { imageSource, localSource, ociLayoutSource } from '../../solver/llb/builder.ts';
import { type DraftEdge, drafted } from '../../solver/llb/draft.ts';
import type { FrontendRequest, NamedContext } from '../frontend.ts';
import { followPaths } from './conversion.ts';
import { gitContext, httpTree } from './remote.ts';
import type { FoundContext } from './stage.ts';
import { emptyState, type StageState, splitEnv, withEnv } from './stage-state.ts';

/**
 * The `--build-context` for `name`. One for a single platform (`name::linux/arm64`) takes
 * precedence over one for all.
 */
export function findContext(
  request: FrontendRequest,
  name: string,
  platform: Platform,
): FoundContext | undefined {
  if (request.namedContexts.size === 0 || /^(?:scratch|context)$/i.test(name)) return undefined;
  const short = shortName(name);
  if (short === undefined) return undefined;
  const contexts = contextsByKey(request.namedContexts);
  for (const key of [`${short}::${formatPlatformInFull(normalisePlatform(platform))}`, short]) {
    const context = contexts.get(key);
    if (context) return { name: key, context };
  }
  return undefined;
}

const byKey = new WeakMap<FrontendRequest['namedContexts'], ReadonlyMap<string, NamedContext>>();

/** Cached, because each stage asks. */
function contextsByKey(named: FrontendRequest['namedContexts']): ReadonlyMap<string, NamedContext> {
  const known = byKey.get(named);
  if (known) return known;
  const contexts = new Map([...named].map(([key, context]) => [contextKey(key), context]));
  byKey.set(named, contexts);
  return contexts;
}

function shortName(name: string): string | undefined {
  const reference = tryParseReference(name);
  return reference && familiarName(withoutLatest(reference));
}

function contextKey(key: string): string {
  const [name = '', platform] = key.split('::');
  const short = shortName(name) ?? name;
  return platform === undefined ? short : `${short}::${platform}`;
}

export interface LoadedNamedContext {
  readonly state: StageState;
  /** Undefined for a context that is not an image. */
  readonly config: ImageConfig | undefined;
}

/** The hint that the graph has about the directory of a named context. */
export function namedContextHint(name: string): string {
  return `context:${name}`;
}

/**
 * The file tree of a named context, and its config when it is an image. `paths` are the paths that
 * the build reads from it.
 */
export async function loadNamedContext(
  request: FrontendRequest,
  found: FoundContext,
  platform: Platform,
  paths: () => ReadonlySet<string>,
): Promise<LoadedNamedContext> {
  const { name, context } = found;
  switch (context.kind) {
    case 'image':
      return loadImage(request, name, context, platform);
    case 'oci-layout':
      return loadLayout(request, name, context, platform);
    case 'local': {
      const options = () => ({
        sessionId: request.mainContext.sessionId,
        sharedKeyHint: namedContextHint(name),
        excludePatterns: context.ignore,
        followPaths: followPaths(paths()),
      });
      return {
        state: emptyState(
          localSource(context.name, options, { name: `[context ${name}] load from client` }),
        ),
        config: undefined,
      };
    }
    case 'git':
    case 'http':
      return { state: emptyState(namedRemote(name, context)), config: undefined };
    case 'graph': {
      const state = emptyState(context.edge && drafted(context.edge), platform);
      const { config } = context;
      return { state: config ? imageState(state, config) : state, config };
    }
    case 'unknown':
      return { state: emptyState(undefined, platform), config: undefined };
    default:
      return context satisfies never;
  }
}

/**
 * As in Docker, a file by http is not unpacked: it is the file `context` in an otherwise empty
 * tree.
 */
function namedRemote(
  name: string,
  context: Extract<NamedContext, { kind: 'git' | 'http' }>,
): DraftEdge {
  const { url } = context;
  return context.kind === 'git'
    ? gitContext(context.git, url)
    : httpTree(url, `[context ${name}] ${url}`);
}

async function loadImage(
  request: FrontendRequest,
  name: string,
  { ref, reference }: Extract<NamedContext, { kind: 'image' }>,
  platform: Platform,
): Promise<LoadedNamedContext> {
  if (!reference) return { state: emptyState(undefined), config: undefined };
  const full = formatReference(reference);
  const { config, isTree } = await request.resolveImage(full, platform, {
    pull: request.pull,
    stageName: name,
    orTree: true,
  });
  const tree = imageSource(full, { platform, note: { name: `[context ${name}] ${ref}` } });
  const state = emptyState(tree, platform);
  return isTree ? { state, config: undefined } : { state: imageState(state, config), config };
}

async function loadLayout(
  request: FrontendRequest,
  name: string,
  context: Extract<NamedContext, { kind: 'oci-layout' }>,
  platform: Platform,
): Promise<LoadedNamedContext> {
  const ref = context.ref.startsWith('oci-layout://') ? context.ref : `oci-layout://${context.ref}`;
  const { config, digest } = await request.resolveImage(ref, platform, {
    pull: false,
    stageName: name,
  });
  const reference = tryParseReference(name.replace(/::.*$/, ''));
  if (!reference)
    throw new KilnError('KILN_CONTEXT_NAME', `${JSON.stringify(name)} cannot name an image`);
  const tree = ociLayoutSource(formatReference({ ...withoutLatest(reference), digest }), {
    platform,
    sessionId: request.mainContext.sessionId,
    store: context.store,
    note: { name: `[context ${name}] OCI load from client` },
  });
  return { state: imageState(emptyState(tree, platform), config), config };
}

/** Applies an image's own config to the state. */
function imageState(state: StageState, image: ImageConfig): StageState {
  const withVariables = withEnv(state, (image.config?.Env ?? []).map(splitEnv));
  const platform = image.architecture && image.os ? platformOfImage(image) : state.platform;
  return { ...withVariables, dir: image.config?.WorkingDir || '/', platform };
}

export function platformOfImage(
  image: Pick<ImageConfig, 'os' | 'architecture' | 'variant' | 'os.version'>,
): Platform {
  return {
    os: image.os,
    architecture: image.architecture,
    ...(image.variant && { variant: image.variant }),
    ...(image['os.version'] && { osVersion: image['os.version'] }),
  };
}
