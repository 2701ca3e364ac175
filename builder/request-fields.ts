import { isDeepStrictEqual } from 'node:util';
import type { Platform } from '../base/platform.ts';
import {
  formatReference,
  parseReference,
  type Reference,
  tryParseReference,
} from '../base/reference.ts';
import type { ResourceLimits } from '../executor/limits.ts';
import type { AttestOptions, SbomScanner } from '../exporter/attest/attestation.ts';
import type { ImageOptions, OutputPlace, OutputSpec } from '../exporter/output-spec.ts';
import { gitRefOf } from '../frontend/convert/gitref.ts';
import type { GraphOptions, VolumeMount } from '../frontend/graph-options.ts';
import { type FieldCheck, flag, integer, listOf, shown, text } from '../registry/json-fields.ts';
import {
  ATTRIBUTE_CONDITIONS,
  type AttributeConstraint,
  MATCH_TYPES,
  POLICY_ACTIONS,
  type PolicyRule,
  type PolicySelector,
  type PolicyUpdates,
  type SourcePolicy,
} from '../solver/source-policy/policy.ts';
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

/** How a field of a request is written in JSON and in provenance. */
interface RequestField<T> {
  /** Checks its form in JSON. */
  readonly form: FieldCheck;
  /**
   * Makes the arguments for it in provenance, by the names that BuildKit's frontend has for them.
   * `omitted` is for a field that does not change the result, or that provenance has elsewhere.
   */
  readonly provenance: ((value: T) => Arguments) | 'omitted';
}

/** Arguments by name. Those that are undefined are left out. */
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
  names: listOf(reference),
  compression: optional(oneOf('gzip', 'zstd', 'uncompressed')),
  level: optional(count),
  forceCompression: flag,
  ociTypes: optional(flag),
  ociArtifact: optional(flag),
  annotations: listOf(object),
  alwaysIndex: flag,
  rewriteTimestamp: flag,
  marksRewritten: flag,
});

const textsByName: FieldCheck = (value, field, invalid) => {
  object(value, field, invalid);
  for (const [name, one] of Object.entries(value as object)) text(one, `${field}.${name}`, invalid);
};

const limits = fields<ResourceLimits>({
  memory: optional(count),
  memorySwap: optional(integer),
  cpuQuota: optional(integer),
  cpuPeriod: optional(count),
  cpuShares: optional(count),
  cpusetCpus: optional(text),
  cpusetMems: optional(text),
  pids: optional(count),
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

const policy = fields<SourcePolicy>({
  rules: listOf(
    fields<PolicyRule>({
      action: oneOf(...POLICY_ACTIONS),
      selector: fields<PolicySelector>({
        identifier: text,
        matchType: oneOf(...MATCH_TYPES),
        constraints: listOf(
          fields<AttributeConstraint>({
            key: text,
            value: text,
            condition: oneOf(...ATTRIBUTE_CONDITIONS),
          }),
        ),
      }),
      updates: optional(fields<PolicyUpdates>({ identifier: text, attrs: textsByName })),
    }),
  ),
});

const place = union<'kind', OutputPlace>('kind', { file: { path: text }, lent: { name: text } });

const epoch: FieldCheck = (value, field, invalid) => {
  if (value !== undefined && value !== null) count(value, field, invalid);
};

const typedOutput = union<'type', OutputSpec>('type', {
  image: {
    image,
    push: flag,
    store: flag,
    canonical: flag,
    byDigest: flag,
    insecure: optional(flag),
    epoch,
  },
  oci: { image, tar: flag, epoch },
  docker: { image, destination: optional(place), epoch },
  tar: { destination: place, attestationPrefix: optional(text), epoch },
  local: {
    epoch,
    directory: text,
    platformSplit: optional(flag),
    deletes: optional(flag),
    attestationPrefix: optional(text),
  },
});

const output: FieldCheck = (value, field, invalid) => {
  typedOutput(value, field, invalid);
  const spec = value as OutputSpec;
  if (spec.type !== 'oci') return;
  if (spec.tar) place(spec.destination, `${field}.destination`, invalid);
  else text(spec.directory, `${field}.directory`, invalid);
};

/** A value that is in the request beside the text that it was parsed from. */
function parsedFrom(parse: (text: string) => unknown, value: unknown, text: unknown): boolean {
  try {
    // JSON has no undefined fields.
    const parsed = JSON.parse(JSON.stringify(parse(String(text)) ?? null));
    return isDeepStrictEqual(parsed, value ?? null);
  } catch {
    return false;
  }
}

const isGitOf = (url: unknown, git: unknown) => parsedFrom(gitRefOf, git, url);
const isNameOf = (ref: unknown, reference: unknown) =>
  parsedFrom((text) => (text === 'scratch' ? undefined : parseReference(text)), reference, ref);

const contextForm: FieldCheck = (value, field, invalid) => {
  union<'kind', ContextSource>('kind', {
    directory: { name: text },
    input: { name: optional(text), subdir: optional(text) },
    graph: { definition: text },
    remote: { url: text, git: optional(object), subdir: optional(text) },
  })(value, field, invalid);
  const source = value as ContextSource;
  if (source.kind === 'remote' && !isGitOf(source.url, source.git))
    throw invalid(`${field}.git is not the repository of ${shown(source.url)}`);
};

const namedContextForm: FieldCheck = (value, field, invalid) => {
  union<'kind', NamedContextSource>('kind', {
    directory: { name: text, whole: optional(flag) },
    image: { ref: text, reference: optional(object) },
    'oci-layout': { name: text, suffix: text },
    git: { url: text, git: object },
    http: { url: text },
    graph: { definition: text, config: optional(text) },
    unknown: {},
  })(value, field, invalid);
  const source = value as NamedContextSource;
  if (source.kind === 'git' && !isGitOf(source.url, source.git))
    throw invalid(`${field}.git is not the repository of ${shown(source.url)}`);
  if (source.kind === 'image' && !isNameOf(source.ref, source.reference))
    throw invalid(`${field}.reference is not the image ${shown(source.ref)}`);
};

/** The forms of every field of a request. */
export const REQUEST_FIELDS: {
  readonly [name in keyof BuildRequest]: RequestField<BuildRequest[name]>;
} = {
  frontend: { form: text, provenance: 'omitted' },
  frontendOptions: { form: pairsOf(text), provenance: 'omitted' },
  frontendInputs: { form: pairsOf(text), provenance: 'omitted' },
  context: {
    form: contextForm,
    provenance: 'omitted',
  },
  dockerfile: {
    form: union<'kind', DockerfileSource>('kind', {
      default: {},
      file: { path: text, name: text },
      lent: { directory: text, name: text },
      input: {},
      remote: { url: text },
      text: { text: text },
      graph: { definition: text, name: text },
    }),
    provenance: 'omitted',
  },
  ignoreFile: { form: optional(text), provenance: 'omitted' },
  namedContexts: {
    form: pairsOf(namedContextForm),
    provenance: (contexts) => prefixed('context', contexts, withoutPath),
  },
  tags: { form: listOf(text), provenance: 'omitted' },
  target: { form: optional(text), provenance: (target) => ({ target }) },
  buildArgs: { form: pairsOf(text), provenance: (args) => prefixed('build-arg', args) },
  proxies: { form: pairsOf(text), provenance: 'omitted' },
  labels: { form: pairsOf(text), provenance: (labels) => prefixed('label', labels) },
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
    provenance: 'omitted',
  },
  noCache: {
    form: noCache,
    provenance: (stages) => ({
      'no-cache': stages === 'none' ? undefined : stages === 'all' ? '' : stages.join(','),
    }),
  },
  pull: { form: flag, provenance: 'omitted' },
  lookUps: { form: oneOf('ask', 'missing', 'never'), provenance: 'omitted' },
  network: {
    form: oneOf('default', 'none', 'host'),
    provenance: (mode) => ({ 'force-network-mode': mode === 'default' ? undefined : mode }),
  },
  extraHosts: {
    form: listOf(fields<GraphOptions['extraHosts'][number]>({ host: text, ip: text })),
    provenance: (hosts) => ({
      'add-hosts': hosts.map(({ host, ip }) => `${host}=${ip}`).join(',') || undefined,
    }),
  },
  shmSize: {
    form: count,
    provenance: (size) => ({ 'shm-size': size > 0 ? String(size) : undefined }),
  },
  ulimits: {
    form: listOf(
      fields<GraphOptions['ulimits'][number]>({ name: text, soft: integer, hard: integer }),
    ),
    provenance: (limits) => ({
      ulimit:
        limits.map(({ name, soft, hard }) => `${name}=${soft}:${hard}`).join(',') || undefined,
    }),
  },
  cgroupParent: { form: text, provenance: 'omitted' },
  automounts: { form: listOf(text), provenance: 'omitted' },
  volumes: {
    form: listOf(
      fields<VolumeMount>({ context: text, source: text, target: text, readonly: flag }),
    ),
    provenance: 'omitted',
  },
  limits: { form: optional(limits), provenance: 'omitted' },
  allow: { form: listOf(text), provenance: 'omitted' },
  devices: { form: listOf(text), provenance: 'omitted' },
  epoch: { form: optional(count), provenance: 'omitted' },
  checks: { form: oneOf('kiln', 'buildkit'), provenance: 'omitted' },
  outputs: { form: listOf(output), provenance: 'omitted' },
  cacheFrom: {
    form: listOf(
      union<'type', CacheFromSpec>('type', {
        registry: { ref: reference, insecure: optional(flag) },
        local: {
          src: text,
          tag: optional(text),
          digest: optional(text),
          shownAs: optional(text),
        },
      }),
    ),
    provenance: 'omitted',
  },
  cacheTo: {
    form: listOf(
      union<'type', CacheToSpec>('type', {
        inline: {},
        registry: { ref: reference, insecure: optional(flag), ...CACHE_FORM },
        local: { dest: text, tag: text, reset: optional(flag), ...CACHE_FORM },
      }),
    ),
    provenance: 'omitted',
  },
  squash: { form: flag, provenance: 'omitted' },
  policyFile: { form: oneOf('refused', 'ignored'), provenance: 'omitted' },
  sourcePolicies: { form: listOf(policy), provenance: 'omitted' },
  attest: {
    form: fields<AttestOptions>({
      sbom: flag,
      provenance: optional(object),
      scanner: optional(fields<SbomScanner>({ image: text, parameters: textsByName })),
    }),
    provenance: 'omitted',
  },
  secretsInKeys: { form: listOf(text), provenance: 'omitted' },
  parallelism: { form: optional(count), provenance: 'omitted' },
};

/** Makes the arguments of `request` for provenance, sorted by name. */
export function provenanceArguments(request: BuildRequest): Readonly<Record<string, string>> {
  const names = Object.keys(REQUEST_FIELDS) as (keyof BuildRequest)[];
  const given = names
    .flatMap((name) => Object.entries(argumentsOf(name, request)))
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(given.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function argumentsOf<Name extends keyof BuildRequest>(
  name: Name,
  request: BuildRequest,
): Arguments {
  const { provenance }: RequestField<BuildRequest[Name]> = REQUEST_FIELDS[name];
  return provenance === 'omitted' ? {} : provenance(request[name]);
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

/** A named context in provenance. It does not reveal where a directory is on this machine. */
function withoutPath(source: NamedContextSource): string {
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
    case 'graph':
      return 'input:';
    case 'unknown':
      return 'target:';
  }
}
