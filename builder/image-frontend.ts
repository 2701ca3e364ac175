import { writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { KilnError, type SourceText } from '../base/errors.ts';
import { formatPlatform } from '../base/platform.ts';
import type { SyntaxImage } from '../frontend/syntax.ts';
import type { Bridge } from './bridge.ts';
import type { BuildContext } from './build-context.ts';
import { contextHost } from './context/context-host.ts';
import type { LoadedContext, LocalContext } from './context/loaded-context.ts';
import type { AskedImageFrontend, ImageFrontendAnswer } from './image-frontends.ts';
import { type BuildRequest, IMAGE_FRONTEND, type NamedContextSource } from './request.ts';
import { provenanceArguments } from './request-fields.ts';
import { type Session, WHOLE } from './session.ts';

/** A frontend in an image, with the inputs of the build that asks it. */
export interface ImageFrontend {
  readonly kind: 'image';
  /** The text of the build file. Undefined when only the frontend reads it. */
  readonly dockerfile: SourceText | undefined;
  /** Asks it. `more` are options in addition to those of the build. */
  readonly ask: (more?: Readonly<Record<string, string>>) => Promise<ImageFrontendAnswer>;
  /** The options that name it. */
  readonly named: Readonly<Record<string, string>>;
}

/** The frontend that `# syntax` names, for a Dockerfile that is loaded. */
export function syntaxFrontend(
  bridge: Bridge,
  request: BuildRequest,
  { name, cmdline, place }: SyntaxImage,
  loaded: LoadedContext,
): ImageFrontend {
  return {
    kind: 'image',
    dockerfile: loaded.dockerfile,
    named: { cmdline, source: name },
    async ask(more) {
      refuseUntold(request);
      const own = ownDirectories(loaded, request, bridge.context);
      const options = withMore(
        {
          ...frontendOptionsOf(request),
          ...(own.filename !== undefined && { filename: own.filename }),
          ...Object.fromEntries(request.frontendOptions),
          cmdline,
          source: name,
        },
        more,
      );
      try {
        const asked = { image: name, options, inputs: inputsOf(request) };
        return await run(lending(bridge, own.directories), asked);
      } catch (error) {
        throw error instanceof KilnError ? error.at(place) : error;
      }
    },
  };
}

/** The frontend `gateway.v0`: the options of the request name the image. */
export function gatewayFrontend(bridge: Bridge, request: BuildRequest): ImageFrontend {
  return {
    kind: 'image',
    dockerfile: undefined,
    named: { source: request.frontendOptions.get('source') ?? '' },
    async ask(more) {
      refuseUntold(request);
      const given = {
        ...frontendOptionsOf(request),
        ...Object.fromEntries(request.frontendOptions),
      };
      const options = withMore(given, more);
      const image = options['source'];
      if (!image)
        throw new KilnError(
          'KILN_REQUEST_INVALID',
          `the frontend ${IMAGE_FRONTEND} needs the option source, the name of an image`,
        );
      return await run(bridge, { image, options, inputs: inputsOf(request) });
    },
  };
}

/** Refuses what no option tells a frontend in an image. */
function refuseUntold({ volumes, ignoreFile }: BuildRequest): void {
  const flag = volumes.length > 0 ? '--volume' : ignoreFile && '--ignorefile';
  if (!flag) return;
  throw new KilnError('KILN_FRONTEND_UNSUPPORTED', `a frontend in an image knows no ${flag}`, {
    place: { kind: 'flag', flag },
    hint: `leave ${flag} or the line # syntax= out`,
    exitCode: 2,
  });
}

/** Adds `more` to `options`. Of both, the frontend must have all `frontend.caps`. */
function withMore(
  options: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const caps = [options['frontend.caps'], more['frontend.caps']].filter(Boolean).join();
  return { ...options, ...more, ...(caps && { 'frontend.caps': caps }) };
}

async function run(bridge: Bridge, asked: AskedImageFrontend): Promise<ImageFrontendAnswer> {
  const { imageFrontends } = bridge.context.engine.settings;
  if (!imageFrontends)
    throw new KilnError(
      'KILN_FRONTEND_UNSUPPORTED',
      `the frontend ${asked.image} is in an image, and frontends from images are not run here`,
    );
  return await (await imageFrontends()).run(bridge, asked);
}

/**
 * The same bridge, with directories for `local://NAME`. Frontends that this one asks find them too.
 */
function lending(bridge: Bridge, directories: ReadonlyMap<string, LocalContext['find']>): Bridge {
  const { context, locals } = bridge;
  for (const [name, find] of directories)
    locals.set(name, async (wanted) => {
      const { path, remembered, version } = await find(wanted);
      return { kind: 'directory', root: path, ...(remembered && { memory: path, version }) };
    });
  const { session } = context;
  const lent: Session = {
    ...session,
    directory: (name, wanted) => directories.get(name)?.(wanted) ?? session.directory(name, wanted),
  };
  return { ...bridge, context: { ...context, session: lent } };
}

interface OwnDirectories {
  readonly directories: ReadonlyMap<string, LocalContext['find']>;
  /** The name of the build file in the directory `dockerfile`, or in a fetched context. */
  readonly filename: string | undefined;
}

/**
 * The directories `context` and `dockerfile`, by the names that the frontend expects. A client of a
 * server lends or sends them itself. A build file that is not in a directory is written into one.
 */
function ownDirectories(
  { from, dockerfile }: LoadedContext,
  { dockerfile: source }: BuildRequest,
  context: BuildContext,
): OwnDirectories {
  if (source.kind === 'lent' || source.kind === 'graph')
    return { directories: new Map(), filename: undefined };
  const directories = new Map<string, LocalContext['find']>();
  if (from.kind === 'local') directories.set('context', from.find);
  if (source.kind === 'default' || source.kind === 'file') {
    if (from.kind === 'remote') {
      const filename = source.kind === 'file' ? source.name : undefined;
      return { directories, filename };
    }
    const path = source.kind === 'file' ? source.path : dockerfile.name;
    directories.set('dockerfile', async () => {
      const { path: root } = await from.find(WHOLE);
      return { path: dirname(resolve(root, path)), remembered: true };
    });
    return { directories, filename: basename(path) };
  }
  const directory = contextHost(context).scratch('dockerfile');
  writeFileSync(join(directory, 'Dockerfile'), dockerfile.text);
  directories.set('dockerfile', async () => ({ path: directory, remembered: false }));
  return { directories, filename: 'Dockerfile' };
}

/**
 * The options that the fields of a request make, by BuildKit's names: those that are arguments in
 * provenance, and those that provenance omits.
 */
export function frontendOptionsOf(request: BuildRequest): Record<string, string> {
  const { context, namedContexts } = request;
  const proxies = [...request.proxies].map(([name, value]) => [`build-arg:${name}`, value]);
  const options: Record<string, string> = {
    ...Object.fromEntries(proxies),
    ...provenanceArguments(request),
    ...(context.kind === 'remote' && { context: context.url }),
    ...(request.dockerfile.kind === 'input' && { dockerfilekey: 'dockerfile' }),
    ...(request.platforms.length > 0 && {
      platform: request.platforms.map(formatPlatform).join(),
    }),
    ...(request.pull && { 'image-resolve-mode': 'pull' }),
    ...(request.cgroupParent !== '' && { 'cgroup-parent': request.cgroupParent }),
    ...(namedContexts.size > 0 && { 'frontend.caps': 'moby.buildkit.frontend.contexts+forward' }),
  };
  // In provenance, these do not say which directory or layout they are.
  for (const [name, source] of namedContexts)
    Object.assign(options, namedContextOptions(name, source));
  return options;
}

function namedContextOptions(name: string, source: NamedContextSource): Record<string, string> {
  const option = `context:${name}`;
  switch (source.kind) {
    case 'directory':
      return { [option]: `local:${source.name}` };
    case 'image':
      return { [option]: `docker-image://${source.ref}` };
    case 'oci-layout':
      return { [option]: `oci-layout://${name}${source.suffix}` };
    case 'git':
    case 'http':
      return { [option]: source.url };
    case 'unknown':
      return { [option]: 'target:' };
    case 'graph': {
      const { config } = source;
      const metadata =
        config === undefined
          ? undefined
          : JSON.stringify({ 'containerimage.config': Buffer.from(config).toString('base64') });
      return {
        [option]: `input:${name}`,
        ...(metadata !== undefined && { [`input-metadata:${name}`]: metadata }),
      };
    }
  }
}

function inputsOf({
  namedContexts,
  frontendInputs,
}: BuildRequest): Readonly<Record<string, Uint8Array>> {
  const graphs = [...namedContexts].flatMap(([name, source]): [string, string][] =>
    source.kind === 'graph' ? [[name, source.definition]] : [],
  );
  return Object.fromEntries(
    [...graphs, ...frontendInputs].map(([name, text]) => [name, Buffer.from(text, 'base64')]),
  );
}
