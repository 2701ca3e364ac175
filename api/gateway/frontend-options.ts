import { KilnError } from '../../base/errors.ts';
import { tryParseReference } from '../../base/reference.ts';
import {
  type BuildRequest,
  type ContextSource,
  DOCKERFILE_FRONTEND,
  type DockerfileSource,
  IMAGE_FRONTEND,
  imageContext,
  type NamedContextSource,
  remoteContext,
} from '../../builder/request.ts';
import { isUlimit } from '../../executor/rlimits.ts';
import { parseAttestations } from '../../exporter/attest/attest-options.ts';
import { gitRefOf } from '../../frontend/convert/gitref.ts';
import { isBuiltIn } from '../../frontend/syntax.ts';
import { parsePlatformForHost } from '../../registry/platforms.ts';

/** The options of a frontend as a client sends them, by BuildKit's names. */
export type FrontendOptions = Readonly<Record<string, string>>;

/** What a client asks of a frontend. */
export interface AskedFrontend {
  readonly frontend: string;
  readonly options: FrontendOptions;
  /** Graphs by their names, each a pb.Definition. */
  readonly inputs: Readonly<Record<string, Uint8Array>>;
}

/**
 * Reads the options of a frontend into a request. What they do not say is as in `base`. Options of
 * unknown names are left to frontends that know them, as with BuildKit. Throws KILN_REQUEST_INVALID
 * and KILN_REQUEST_UNSUPPORTED, which name the option.
 */
export function readFrontendOptions(
  { frontend, options, inputs }: AskedFrontend,
  base: BuildRequest,
): BuildRequest {
  const buildArgs = prefixed(options, 'build-arg:');
  const name = frontendOf(frontend, options);
  const common: BuildRequest = {
    ...base,
    frontend: name,
    frontendOptions: new Map(Object.entries(options)),
    frontendInputs: new Map(
      Object.entries(inputs).map(([input, graph]) => [
        input,
        Buffer.from(graph).toString('base64'),
      ]),
    ),
    target: options['target'] || undefined,
    buildArgs,
    labels: new Map([...prefixed(options, 'label:')].sort(([a], [b]) => (a < b ? -1 : 1))),
    epoch: epochOf(buildArgs.get('SOURCE_DATE_EPOCH')),
    attest: attestOf(options) ?? base.attest,
  };
  // What the other options mean is for that frontend to say.
  if (name === IMAGE_FRONTEND) return common;
  const context = contextOf(options, inputs);
  return {
    ...common,
    context,
    dockerfile: dockerfileOf(options, context, inputs),
    namedContexts: namedContextsOf(options, inputs),
    platforms: platformsOf(options),
    noCache: noCacheOf(options),
    pull: options['image-resolve-mode'] === 'pull',
    network: networkOf(options),
    extraHosts: extraHostsOf(options),
    shmSize: countOf(options, 'shm-size'),
    ulimits: ulimitsOf(options),
    cgroupParent: options['cgroup-parent'] ?? '',
  };
}

/** The built-in frontend takes the place of an image that has the same. */
function frontendOf(frontend: string, options: FrontendOptions): string {
  if (frontend !== IMAGE_FRONTEND) return frontend;
  const reference = tryParseReference(options['source'] ?? '');
  return reference && isBuiltIn(reference) ? DOCKERFILE_FRONTEND : IMAGE_FRONTEND;
}

function prefixed(options: FrontendOptions, prefix: string): Map<string, string> {
  return new Map(
    Object.entries(options).flatMap(([name, value]): [string, string][] =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );
}

/** How the address of something begins that the client uploads inside its session. */
const UPLOADED = 'http://buildkit-session/';

function contextOf(options: FrontendOptions, inputs: AskedFrontend['inputs']): ContextSource {
  const context = options['context'] ?? '';
  const graph = graphNamed(contextKey(options), inputs);
  if (context === '' && graph !== undefined) return { kind: 'graph', definition: graph };
  if (context === '' || context.startsWith('local:'))
    return { kind: 'directory', name: context.replace(/^local:/, '') || contextKey(options) };
  // The client sends its standard input when it is asked for this address.
  if (context.startsWith(UPLOADED)) return { kind: 'input', name: context };
  return remoteContext(context);
}

/** The IDs of the sessions that lend directories, by the names of the directories. */
export function lendersOf(options: FrontendOptions): ReadonlyMap<string, string> {
  return prefixed(options, 'local-sessionid:');
}

function contextKey(options: FrontendOptions): string {
  return options['contextkey'] || 'context';
}

function dockerfileOf(
  options: FrontendOptions,
  context: ContextSource,
  inputs: AskedFrontend['inputs'],
): DockerfileSource {
  const name = options['filename'] || 'Dockerfile';
  const key = options['dockerfilekey'];
  // A client that names its directory of the Dockerfile means that, whatever graphs it sends.
  const definition = key ? undefined : graphNamed('dockerfile', inputs);
  if (definition !== undefined) return { kind: 'graph', definition, name };
  // A context that is fetched has its own Dockerfile, unless the client lends one beside it.
  if ((context.kind === 'remote' || context.kind === 'input') && !key)
    return options['filename'] ? { kind: 'file', path: name, name } : { kind: 'default' };
  return { kind: 'lent', directory: key || 'dockerfile', name };
}

/**
 * In place of another target of bake, whose graph a client has only when it builds: questions are
 * answered about the rest of the Dockerfile.
 */
const UNKNOWN = imageContext('scratch');

function namedContextsOf(
  options: FrontendOptions,
  inputs: AskedFrontend['inputs'],
): ReadonlyMap<string, NamedContextSource> {
  return new Map(
    [...prefixed(options, 'context:')].map(([name, value]) => [
      name,
      value.startsWith('input:')
        ? inputContext(value.slice('input:'.length), options, inputs)
        : value.startsWith('target:') && options['requestid']
          ? UNKNOWN
          : namedContext(name, value),
    ]),
  );
}

/** A graph that the client sends along, with what its frontend said of it. */
function inputContext(
  name: string,
  options: FrontendOptions,
  inputs: AskedFrontend['inputs'],
): NamedContextSource {
  const definition = graphNamed(name, inputs);
  if (definition === undefined) throw invalid('context', `input:${name}`);
  return {
    kind: 'graph',
    definition,
    config: configIn(options[`input-metadata:${name}`]),
  };
}

function graphNamed(name: string, inputs: AskedFrontend['inputs']): string | undefined {
  const graph = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
  return graph && Buffer.from(graph).toString('base64');
}

/** Metadata is a JSON object of texts, in which the config is JSON again, in base64. */
function configIn(metadata: string | undefined): string | undefined {
  if (metadata === undefined) return undefined;
  try {
    const values = JSON.parse(metadata) as Readonly<Record<string, unknown>>;
    const config = values['containerimage.config'];
    return typeof config === 'string' ? Buffer.from(config, 'base64').toString() : undefined;
  } catch {
    throw invalid('input-metadata', metadata);
  }
}

function namedContext(name: string, value: string): NamedContextSource {
  const [, scheme = '', rest = ''] = /^([a-z+-]+):(.*)$/s.exec(value) ?? [];
  if (scheme === 'local') return { kind: 'directory', name: rest };
  if (scheme === 'docker-image') return imageContext(rest.replace(/^\/\//, ''));
  // `//STORE:TAG@DIGEST`: the client has the layout in a store, and tells what it means of it.
  const [, store, digest] = /^\/\/([^@:/]+)(?::[^@:/]+)?@(sha256:[0-9a-f]{64})$/.exec(rest) ?? [];
  if (scheme === 'oci-layout' && store !== undefined)
    return { kind: 'oci-layout', name: `oci:${store}@${digest}`, suffix: `@${digest}` };
  const git = gitRefOf(value);
  if (git) return { kind: 'git', url: value, git };
  if (scheme === 'http' || scheme === 'https') return { kind: 'http', url: value };
  throw unsupported(`context:${name}`, `contexts of the kind ${scheme || 'unknown'}: are not yet`);
}

function platformsOf(options: FrontendOptions): BuildRequest['platforms'] {
  const texts = (options['platform'] ?? '').split(',').filter(Boolean);
  return [...new Set(texts)].map((text) => parsePlatformForHost(text));
}

function noCacheOf(options: FrontendOptions): BuildRequest['noCache'] {
  const value = options['no-cache'];
  if (value === undefined) return 'none';
  return value === '' ? 'all' : value.split(',');
}

function networkOf(options: FrontendOptions): BuildRequest['network'] {
  const value = options['force-network-mode'] ?? '';
  if (value === '' || value === 'default' || value === 'sandbox') return 'default';
  if (value === 'none' || value === 'host') return value;
  throw invalid('force-network-mode', value);
}

function extraHostsOf(options: FrontendOptions): BuildRequest['extraHosts'] {
  const value = options['add-hosts'] ?? '';
  return value
    .split(',')
    .filter(Boolean)
    .map((text) => {
      const [, host = '', ip = ''] = /^([^=]+)=(.+)$/.exec(text) ?? [];
      if (host === '' || !/^[0-9a-fA-F.:]+$/.test(ip)) throw invalid('add-hosts', text);
      return { host, ip };
    });
}

function ulimitsOf(options: FrontendOptions): BuildRequest['ulimits'] {
  const value = options['ulimit'] ?? '';
  return value
    .split(',')
    .filter(Boolean)
    .map((text) => {
      const [, name = '', soft, hard = soft] = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
      if (soft === undefined || !isUlimit(name)) throw invalid('ulimit', text);
      return { name, soft: Number(soft), hard: Number(hard) };
    });
}

function countOf(options: FrontendOptions, name: string): number {
  const value = options[name] ?? '0';
  if (!/^\d{1,15}$/.test(value)) throw invalid(name, value);
  return Number(value);
}

function epochOf(value: string | undefined): number | undefined {
  if (value === undefined || value === '') return undefined;
  if (!/^\d{1,15}$/.test(value)) throw invalid('build-arg:SOURCE_DATE_EPOCH', value);
  return Number(value);
}

function attestOf(options: FrontendOptions): BuildRequest['attest'] | undefined {
  const given = [...prefixed(options, 'attest:')];
  if (given.length === 0) return undefined;
  return parseAttestations(
    given.map(([type, text]) => ({
      flag: '--attest',
      fields: new Map([
        ['type', type],
        ...text
          .split(',')
          .filter(Boolean)
          .map((field): [string, string] => {
            const equals = field.indexOf('=');
            return equals < 0 ? [field, 'true'] : [field.slice(0, equals), field.slice(equals + 1)];
          }),
      ]),
    })),
  );
}

function invalid(name: string, value: string): KilnError {
  return new KilnError(
    'KILN_REQUEST_INVALID',
    `the option ${name} of the frontend has a value that is not valid: ${JSON.stringify(value)}`,
  );
}

function unsupported(name: string, why: string): KilnError {
  return new KilnError(
    'KILN_REQUEST_UNSUPPORTED',
    `the option ${name} of the frontend cannot be served: ${why}`,
  );
}
