import { randomBytes } from 'node:crypto';
import type { ProgressSink } from '../base/progress.ts';
import { formatReference, parseReference } from '../base/reference.ts';
import { unknownRules } from '../frontend/check/unknown.ts';
import { namedContextHint } from '../frontend/convert/contexts.ts';
import type { ImageResolver, NamedContext } from '../frontend/frontend.ts';
import type { FrontendInputs } from '../frontend/gateway.ts';
import { graphOptions } from '../frontend/graph-options.ts';
import { ignoreFilter } from '../frontend/ignore.ts';
import { noImageFrontends, requestedSyntax, type SyntaxImage } from '../frontend/syntax.ts';
import { parseConfig } from '../registry/parse-document.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { parseDefinition } from '../solver/llb/parse.ts';
import type { DirectoryResult } from '../solver/result.ts';
import type { WantedFiles } from '../solver/step-session.ts';
import { bulkWarnings } from './context/bulk-warnings.ts';
import { ignoreOf } from './context/ignore-file.ts';
import type { LoadedContext } from './context/loaded-context.ts';
import { finishedStep, internalStep } from './internal-step.ts';
import { type BuildRequest, DOCKERFILE_FRONTEND, type NamedContextSource } from './request.ts';
import { type LentDirectory, onlyFiles, type Session, WHOLE } from './session.ts';

/** A directory for `local://NAME` in the graph. `filter` leaves out the files that are ignored. */
export interface LocalSource {
  readonly find: (wanted: WantedFiles) => Promise<LentDirectory>;
  readonly filter: ReturnType<typeof ignoreFilter> | undefined;
  /** `local.sharedkeyhint` and `local.excludepatterns` of the graph. */
  readonly hint: string;
  readonly exclude: readonly string[];
  readonly onRead?: DirectoryResult['onRead'];
}

/** The inputs of the frontend, and the directories that its graph can name. */
export interface PreparedRequest {
  readonly inputs: FrontendInputs;
  readonly locals: ReadonlyMap<string, LocalSource>;
}

/** Maps the names of those named contexts that are OCI layouts to their directories. */
export async function layoutsOf(
  { namedContexts }: BuildRequest,
  session: Session,
): Promise<ReadonlyMap<string, string>> {
  const layouts = new Map<string, string>();
  for (const [name, source] of namedContexts)
    if (source.kind === 'oci-layout')
      layouts.set(name, (await session.directory(source.name, WHOLE)).path);
  return layouts;
}

/**
 * Returns the frontend in an image that must read the Dockerfile, if it requests one. A frontend
 * that got the request for its own `# syntax` line (`cmdline`) does not request another one.
 */
export function syntaxImageOf(
  { frontend, frontendOptions, buildArgs }: BuildRequest,
  { dockerfile }: Pick<LoadedContext, 'dockerfile'>,
): SyntaxImage | undefined {
  if (frontend !== DOCKERFILE_FRONTEND || frontendOptions.has('cmdline')) return undefined;
  return requestedSyntax(dockerfile, buildArgs.get('BUILDKIT_SYNTAX')).image;
}

/**
 * Makes the inputs of a frontend from the request and its loaded context. For Dockerfiles it warns
 * of a `# syntax` of another version and of unknown rules in `# check`. Throws
 * KILN_FRONTEND_UNSUPPORTED when the Dockerfile needs the frontend of an image, and the errors of
 * the session and of ignore files.
 */
export async function prepareRequest(
  options: BuildRequest,
  session: Session,
  context: LoadedContext,
  warn: ProgressSink,
): Promise<PreparedRequest> {
  const isDockerfile = options.frontend === DOCKERFILE_FRONTEND;
  const image = syntaxImageOf(options, context);
  if (image) throw noImageFrontends(image);
  for (const warning of isDockerfile
    ? [
        ...requestedSyntax(context.dockerfile, options.buildArgs.get('BUILDKIT_SYNTAX')).warnings,
        ...unknownRules(context.dockerfile, options.buildArgs.get('BUILDKIT_DOCKERFILE_CHECK')),
      ]
    : [])
    warn(warning);
  const locals = new Map<string, LocalSource>();
  const { from, ignore } = context;
  if (from.kind === 'local')
    locals.set('context', {
      find: from.find,
      filter: ignore && ignoreFilter(ignore),
      hint: from.place,
      exclude: patternsOf(ignore),
      onRead: bulkWarnings(ignore, warn),
    });
  const namedContexts = new Map<string, NamedContext>();
  for (const [name, source] of options.namedContexts)
    namedContexts.set(name, await namedContext(name, source, { session, locals, warn }));
  const inputs: FrontendInputs = {
    ...graphOptions(options),
    dockerfile: context.dockerfile,
    buildArgs: new Map([...options.proxies, ...options.buildArgs]),
    buildPlatform: hostPlatform(),
    namedContexts,
    mainContext: {
      ...(from.kind === 'local' ? { kind: 'local', sharedKeyHint: from.place } : from),
      sessionId: session.id ?? randomBytes(12).toString('hex'),
      ignore: patternsOf(ignore),
      ignoreFile: ignore,
    },
  };
  return { inputs, locals };
}

function patternsOf(ignore: LoadedContext['ignore']): readonly string[] {
  return ignore?.patterns.map((pattern) => pattern.text) ?? [];
}

/** What `namedContext` uses of its build. */
interface ContextLookup {
  readonly session: Session;
  readonly locals: Map<string, LocalSource>;
  readonly warn: ProgressSink;
}

/** Converts a named context for the frontend. A directory is added to `locals`. */
async function namedContext(
  name: string,
  source: NamedContextSource,
  { session, locals, warn }: ContextLookup,
): Promise<NamedContext> {
  switch (source.kind) {
    case 'image':
    case 'git':
    case 'http':
    case 'unknown':
      return source;
    case 'graph':
      return graphContext(name, source);
    case 'oci-layout':
      return { kind: 'oci-layout', store: name, ref: `${name}${source.suffix}` };
    case 'directory': {
      const find: LocalSource['find'] = (wanted) => session.directory(source.name, wanted);
      if (source.whole) {
        locals.set(name, { find, filter: undefined, hint: namedContextHint(name), exclude: [] });
        return { kind: 'local', name, ignore: [] };
      }
      const { path, received } = await find(onlyFiles(['.dockerignore']));
      if (received !== undefined)
        finishedStep(warn, `[context ${name}] load .dockerignore`, {
          what: `transferring ${name}:`,
          bytes: received,
        });
      const ignore = ignoreOf(path, {}, warn);
      const exclude = patternsOf(ignore);
      const hint = namedContextHint(name);
      locals.set(name, { find, filter: ignore && ignoreFilter(ignore), hint, exclude });
      return { kind: 'local', name, ignore: exclude };
    }
  }
}

/**
 * Wraps a resolver so that each look-up is a step in the progress, with BuildKit's name for it. An
 * image is looked up once for each platform.
 */
export function resolverWithProgress(
  resolveImage: ImageResolver,
  progress: ProgressSink,
): ImageResolver {
  const answers = new Map<string, ReturnType<ImageResolver>>();
  return (ref, platform, options) => {
    const { os, architecture, variant = '' } = platform;
    const kind = options.orTree ? 'tree' : 'image';
    const key = `${kind}\0${ref}\0${os}/${architecture}/${variant}\0${options.pull}`;
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
  return ref.startsWith('oci-layout://') ? ref : formatReference(parseReference(ref));
}

function graphContext(
  name: string,
  { definition, config }: Extract<NamedContextSource, { kind: 'graph' }>,
): NamedContext {
  const what = `the config of the context ${name}`;
  return {
    kind: 'graph',
    edge: parseDefinition(Buffer.from(definition, 'base64')),
    config: config === undefined ? undefined : parseConfig(Buffer.from(config), what),
  };
}
