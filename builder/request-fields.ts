import { isDeepStrictEqual } from 'node:util';
import type { Platform } from '../base/platform.ts';
import { formatReference, type Reference, tryParseReference } from '../base/reference.ts';
import type { AttestOptions } from '../exporter/attest/attestation.ts';
import type { ImageOptions, OutputSpec } from '../exporter/output-spec.ts';
import type { GraphOptions } from '../frontend/graph-options.ts';
import { type FieldCheck, flag, integer, listOf, shown, text } from '../registry/json-fields.ts';
import { count, fields, object, oneOf, optional, pairsOf, union } from './json-forms.ts';
import type {
  BuildRequest,
  CacheFromSpec,
  CacheToOptions,
  CacheToSpec,
  ContextSource,
  DockerfileSource,
  NamedContextSource,
} from './request.ts';

/** How a field of a request is written down. */
interface RequestField<T> {
  /** Its form in JSON. */
  readonly form: FieldCheck;
  /**
   * The arguments by which provenance tells of it, under the names that BuildKit's frontend has for
   * them. `untold` is for a field that changes no result, or that provenance tells of elsewhere.
   */
  readonly told: ((value: T) => Arguments) | 'untold';
}

/** An argument that is undefined was not given. */
type Arguments = Readonly<Record<string, string | undefined>>;

const reference: FieldCheck = (value, field, invalid) => {
  const parts = { domain: text, path: text, tag: optional(text), digest: optional(text) };
  fields<Reference>(parts)(value, field, invalid);
  const name = formatReference(value as Reference);
  if (!isDeepStrictEqual(tryParseReference(name), value))
    throw invalid(`${field} is ${shown(name)}, which is not a valid name of an image`);
};

const noCache: FieldCheck = (value, field, invalid) =>
  (typeof value === 'string' ? oneOf('none', 'all') : listOf(text))(value, field, invalid);

const image = fields<ImageOptions>({
  names: listOf(text),
  compression: optional(oneOf('gzip', 'zstd', 'uncompressed')),
  level: optional(count),
  forceCompression: flag,
  ociTypes: optional(flag),
  annotations: listOf(object),
  alwaysIndex: flag,
  rewriteTimestamp: flag,
});

const CACHE_FORM: { readonly [name in keyof CacheToOptions]: FieldCheck } = {
  mode: oneOf('min', 'max'),
  imageManifest: flag,
  ociTypes: flag,
  compression: oneOf('gzip', 'zstd', 'uncompressed'),
  level: optional(count),
  forceCompression: flag,
  ignoreError: flag,
};

const output = union<'type', OutputSpec>('type', {
  image: { image, push: flag, store: flag, canonical: flag, byDigest: flag },
  oci: { image, tar: flag },
  docker: { image, destination: optional(object) },
  tar: { destination: object, attestationPrefix: optional(text) },
  local: {
    directory: text,
    platformSplit: optional(flag),
    attestationPrefix: optional(text),
  },
});

/** Every field of a request. */
export const REQUEST_FIELDS: {
  readonly [name in keyof BuildRequest]: RequestField<BuildRequest[name]>;
} = {
  frontend: { form: text, told: 'untold' },
  context: {
    form: union<'kind', ContextSource>('kind', {
      directory: { name: text },
      input: {},
      remote: { url: text },
    }),
    told: 'untold',
  },
  dockerfile: {
    form: union<'kind', DockerfileSource>('kind', {
      default: {},
      file: { path: text, name: text },
      lent: { directory: text, name: text },
      input: {},
      remote: { url: text },
      text: { text: text },
    }),
    told: 'untold',
  },
  namedContexts: {
    form: pairsOf(
      union<'kind', NamedContextSource>('kind', {
        directory: { name: text },
        image: { ref: text },
        'oci-layout': { name: text, suffix: text },
        git: { url: text },
        http: { url: text },
      }),
    ),
    told: (contexts) => prefixed('context', contexts, placeless),
  },
  tags: { form: listOf(text), told: 'untold' },
  target: { form: optional(text), told: (target) => ({ target }) },
  buildArgs: { form: pairsOf(text), told: (args) => prefixed('build-arg', args) },
  proxies: { form: pairsOf(text), told: 'untold' },
  labels: { form: pairsOf(text), told: (labels) => prefixed('label', labels) },
  platforms: {
    form: listOf(
      fields<Platform>({
        os: text,
        architecture: text,
        variant: optional(text),
        osVersion: optional(text),
        osFeatures: optional(listOf(text)),
      }),
    ),
    told: 'untold',
  },
  noCache: {
    form: noCache,
    told: (stages) => ({
      'no-cache': stages === 'none' ? undefined : stages === 'all' ? '' : stages.join(','),
    }),
  },
  pull: { form: flag, told: 'untold' },
  network: {
    form: oneOf('default', 'none', 'host'),
    told: (mode) => ({ 'force-network-mode': mode === 'default' ? undefined : mode }),
  },
  extraHosts: {
    form: listOf(fields<GraphOptions['extraHosts'][number]>({ host: text, ip: text })),
    told: (hosts) => ({
      'add-hosts': hosts.map(({ host, ip }) => `${host}=${ip}`).join(',') || undefined,
    }),
  },
  shmSize: {
    form: count,
    told: (size) => ({ 'shm-size': size > 0 ? String(size) : undefined }),
  },
  ulimits: {
    form: listOf(
      fields<GraphOptions['ulimits'][number]>({ name: text, soft: integer, hard: integer }),
    ),
    told: (limits) => ({
      ulimit:
        limits.map(({ name, soft, hard }) => `${name}=${soft}:${hard}`).join(',') || undefined,
    }),
  },
  cgroupParent: { form: text, told: 'untold' },
  limits: { form: optional(object), told: 'untold' },
  allow: { form: listOf(text), told: 'untold' },
  devices: { form: listOf(text), told: 'untold' },
  epoch: { form: optional(count), told: 'untold' },
  outputs: { form: listOf(output), told: 'untold' },
  cacheFrom: {
    form: listOf(
      union<'type', CacheFromSpec>('type', {
        registry: { ref: reference },
        local: { src: text, tag: optional(text), digest: optional(text) },
      }),
    ),
    told: 'untold',
  },
  cacheTo: {
    form: listOf(
      union<'type', CacheToSpec>('type', {
        inline: {},
        registry: { ref: reference, ...CACHE_FORM },
        local: { dest: text, tag: text, ...CACHE_FORM },
      }),
    ),
    told: 'untold',
  },
  squash: { form: flag, told: 'untold' },
  attest: {
    form: fields<AttestOptions>({ sbom: flag, provenance: optional(object) }),
    told: 'untold',
  },
  secretsInKeys: { form: listOf(text), told: 'untold' },
  parallelism: { form: optional(count), told: 'untold' },
};

/** The arguments of provenance for `request`, in order of name. */
export function toldArguments(request: BuildRequest): Readonly<Record<string, string>> {
  const names = Object.keys(REQUEST_FIELDS) as (keyof BuildRequest)[];
  const given = names
    .flatMap((name) => Object.entries(toldOf(name, request)))
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(given.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function toldOf<Name extends keyof BuildRequest>(name: Name, request: BuildRequest): Arguments {
  const { told }: RequestField<BuildRequest[Name]> = REQUEST_FIELDS[name];
  return told === 'untold' ? {} : told(request[name]);
}

function prefixed<T>(
  prefix: string,
  values: ReadonlyMap<string, T>,
  toText: (value: T) => string = String,
): Arguments {
  return Object.fromEntries(
    [...values].map(([name, value]) => [`${prefix}:${name}`, toText(value)]),
  );
}

/** Where a directory is on this machine is nobody's business. */
function placeless(source: NamedContextSource): string {
  switch (source.kind) {
    case 'image':
      return `docker-image://${source.ref}`;
    case 'git':
    case 'http':
      return source.url;
    case 'oci-layout':
      return 'oci-layout:';
    case 'directory':
      return 'local:';
  }
}
