import {
  type ContextSource,
  type DockerfileSource,
  imageContext,
  type NamedContextSource,
  remoteContext,
} from '../../builder/request.ts';
import { gitRefOf } from '../../frontend/convert/gitref.ts';
import {
  type AskedFrontend,
  type FrontendOptions,
  invalidOption,
  prefixed,
  unsupportedOption,
} from './option-maps.ts';

/** How the address of something begins that the client uploads inside its session. */
const UPLOADED = 'http://buildkit-session/';

/** Where the context of a build comes from. */
export function contextOf(
  options: FrontendOptions,
  inputs: AskedFrontend['inputs'],
): ContextSource {
  const context = options['context'] ?? '';
  if (context === '' || context.startsWith('local:')) {
    const name = context.replace(/^local:/, '') || contextKey(options);
    const definition = context === '' ? inputIn(inputs, contextKey(options)) : undefined;
    return definition === undefined ? { kind: 'directory', name } : { kind: 'graph', definition };
  }
  const subdir = options['contextsubdir'] || undefined;
  // The client sends its standard input when it is asked for this address.
  if (context.startsWith(UPLOADED)) return { kind: 'input', name: context, subdir };
  return { ...remoteContext(context), ...(subdir !== undefined && { subdir }) };
}

/** A graph in the place of a directory, as base64. */
function inputIn(inputs: AskedFrontend['inputs'], name: string): string | undefined {
  const graph = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
  return graph && Buffer.from(graph).toString('base64');
}

/** The IDs of the sessions that lend directories, by the names of the directories. */
export function lendersOf(options: FrontendOptions): ReadonlyMap<string, string> {
  return prefixed(options, 'local-sessionid:');
}

function contextKey(options: FrontendOptions): string {
  return options['contextkey'] || 'context';
}

/** Where the Dockerfile comes from, beside that context. */
export function dockerfileOf(
  options: FrontendOptions,
  context: ContextSource,
  inputs: AskedFrontend['inputs'],
): DockerfileSource {
  const name = options['filename'] || 'Dockerfile';
  const key = options['dockerfilekey'];
  // A client that names its directory of the Dockerfile means that, whatever graphs it sends.
  const definition = key ? undefined : inputIn(inputs, 'dockerfile');
  if (definition !== undefined) return { kind: 'graph', definition, name };
  if (context.kind === 'graph') return { kind: 'lent', directory: key || 'dockerfile', name };
  // A context that is fetched has its own Dockerfile, unless the client lends one beside it.
  if (context.kind !== 'directory' && !key)
    return options['filename'] ? { kind: 'file', path: name, name } : { kind: 'default' };
  return { kind: 'lent', directory: key || 'dockerfile', name };
}

/** The named contexts: the options `context:NAME`. */
export function namedContextsOf(
  options: FrontendOptions,
  inputs: AskedFrontend['inputs'],
): ReadonlyMap<string, NamedContextSource> {
  return new Map(
    [...prefixed(options, 'context:')].map(([name, value]) => [
      name,
      value.startsWith('input:')
        ? inputContext(value.slice('input:'.length), options, inputs)
        : // Another target of bake: a client has its graph only when it builds.
          value.startsWith('target:') && options['requestid']
          ? { kind: 'unknown' }
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
  const graph = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
  if (!graph) throw invalidOption('context', `input:${name}`);
  return {
    kind: 'graph',
    definition: Buffer.from(graph).toString('base64'),
    config: configIn(options[`input-metadata:${name}`]),
  };
}

/** Metadata is a JSON object of texts, in which the config is JSON again, in base64. */
function configIn(metadata: string | undefined): string | undefined {
  if (metadata === undefined) return undefined;
  try {
    const values = JSON.parse(metadata) as Readonly<Record<string, unknown>>;
    const config = values['containerimage.config'];
    return typeof config === 'string' ? Buffer.from(config, 'base64').toString() : undefined;
  } catch {
    throw invalidOption('input-metadata', metadata);
  }
}

const LAYOUT = /^(?:\/\/)?([^@:/]+)(?::[^@:/]+)?@(sha256:[0-9a-f]{64})$/;

function namedContext(name: string, value: string): NamedContextSource {
  const [, scheme = '', rest = ''] = /^([a-z+-]+):(.*)$/s.exec(value) ?? [];
  if (scheme === 'local') return { kind: 'directory', name: rest };
  if (scheme === 'docker-image') return imageContext(rest.replace(/^\/\//, ''));
  // `//STORE:TAG@DIGEST`: the client has the layout in a store, and tells what it means of it.
  const [, store, digest] = LAYOUT.exec(rest) ?? [];
  if (scheme === 'oci-layout' && store !== undefined)
    return { kind: 'oci-layout', name: `oci:${store}@${digest}`, suffix: `@${digest}` };
  const git = gitRefOf(value);
  if (git) return { kind: 'git', url: value, git };
  if (scheme === 'http' || scheme === 'https') return { kind: 'http', url: value };
  throw unsupportedOption(
    `context:${name}`,
    `contexts of the kind ${scheme || 'unknown'}: are not yet`,
  );
}
