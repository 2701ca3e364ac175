import { isDeepStrictEqual } from 'node:util';
import { KilnError } from '../base/errors.ts';
import { formatReference, type Reference, tryParseReference } from '../base/reference.ts';
import type { OutputSpec } from '../exporter/output-spec.ts';
import { type BuildRequest, buildRequest } from './request.ts';

/** Fields that are maps: in JSON lists of pairs, so that their order stays. */
const MAPS = ['namedContexts', 'buildArgs', 'proxies', 'labels'] as const;

/**
 * The JSON form of a request. `requestFromJson` gives the same request again. Throws for an output
 * that is a stream of this process.
 */
export function requestToJson(request: BuildRequest): string {
  if (
    request.outputs.some(
      (output) => 'destination' in output && output.destination?.kind === 'stream',
    )
  )
    throw new TypeError('an output that is a stream of this process has no JSON form');
  const maps = Object.fromEntries(MAPS.map((name) => [name, [...request[name]]]));
  return JSON.stringify({ ...request, ...maps });
}

/**
 * A request from its JSON form. What it leaves out is as in a plain build. Throws
 * KILN_REQUEST_INVALID, which names the field.
 */
export function requestFromJson(text: string): BuildRequest {
  const given = parsed(text);
  const known = buildRequest({});
  for (const name of Object.keys(given))
    if (!Object.hasOwn(known, name))
      throw invalid(`${JSON.stringify(name)} is not a field of a build request`);
  const fields = Object.fromEntries(
    Object.entries(known).map(([name, usual]) => [
      name,
      Object.hasOwn(given, name) ? fieldOf(name, given[name]) : usual,
    ]),
  );
  return fields as unknown as BuildRequest;
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('it is not an object');
  return value as Readonly<Record<string, unknown>>;
}

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isFlag: Check = (value) => typeof value === 'boolean';
const isCount: Check = (value) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const isObject: Check = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const fields =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isObject(value) &&
    Object.entries(checks).every(([name, check]) =>
      check((value as Record<string, unknown>)[name]),
    );
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value);
/** A union by its `kind`. */
const kinds =
  (members: Readonly<Record<string, Readonly<Record<string, Check>>>>, tag = 'kind'): Check =>
  (value) => {
    const kind = isObject(value) ? (value as Record<string, unknown>)[tag] : undefined;
    return (
      typeof kind === 'string' && Object.hasOwn(members, kind) && fields(members[kind]!)(value)
    );
  };
const pairsOf =
  (check: Check): Check =>
  (value) =>
    listOf((pair) => Array.isArray(pair) && pair.length === 2 && isText(pair[0]) && check(pair[1]))(
      value,
    );

/** A reference as `parseReference` makes it. */
const isReference: Check = (value) =>
  fields({ domain: isText, path: isText, tag: optional(isText), digest: optional(isText) })(
    value,
  ) && isDeepStrictEqual(tryParseReference(formatReference(value as Reference)), value);

const CACHE_FORM = {
  mode: oneOf('min', 'max'),
  imageManifest: isFlag,
  ociTypes: isFlag,
  compression: oneOf('gzip', 'zstd', 'uncompressed'),
  level: optional(isCount),
  forceCompression: isFlag,
  ignoreError: isFlag,
};

/** What each type of output has to have. */
const OUTPUTS: { readonly [type in OutputSpec['type']]: Readonly<Record<string, Check>> } = {
  image: { image: isObject },
  oci: { image: isObject },
  docker: { image: isObject },
  tar: {},
  local: { directory: isText },
};

/** What each field of a request has to be. */
const CHECKS: { readonly [name in keyof BuildRequest]: Check } = {
  frontend: isText,
  context: kinds({ directory: { name: isText }, input: {}, remote: { url: isText } }),
  dockerfile: kinds({
    default: {},
    file: { path: isText, name: isText },
    input: {},
    remote: { url: isText },
    text: { text: isText },
  }),
  namedContexts: pairsOf(
    kinds({
      directory: { name: isText },
      image: { ref: isText },
      'oci-layout': { name: isText, suffix: isText },
      git: { url: isText },
      http: { url: isText },
    }),
  ),
  tags: listOf(isText),
  target: optional(isText),
  buildArgs: pairsOf(isText),
  proxies: pairsOf(isText),
  labels: pairsOf(isText),
  platforms: listOf(
    fields({
      os: isText,
      architecture: isText,
      variant: optional(isText),
      osVersion: optional(isText),
    }),
  ),
  noCache: (value) => value === 'none' || value === 'all' || listOf(isText)(value),
  pull: isFlag,
  network: oneOf('default', 'none', 'host'),
  extraHosts: listOf(fields({ host: isText, ip: isText })),
  shmSize: isCount,
  ulimits: listOf(fields({ name: isText, soft: Number.isSafeInteger, hard: Number.isSafeInteger })),
  cgroupParent: isText,
  limits: optional(isObject),
  allow: listOf(isText),
  devices: listOf(isText),
  epoch: optional(isCount),
  outputs: listOf(kinds(OUTPUTS, 'type')),
  cacheFrom: listOf(
    kinds(
      {
        registry: { ref: isReference },
        local: { src: isText, tag: optional(isText), digest: optional(isText) },
      },
      'type',
    ),
  ),
  cacheTo: listOf(
    kinds(
      {
        inline: {},
        registry: { ref: isReference, ...CACHE_FORM },
        local: { dest: isText, tag: isText, ...CACHE_FORM },
      },
      'type',
    ),
  ),
  squash: isFlag,
  attest: fields({ sbom: isFlag, provenance: optional(isObject) }),
  secretsInKeys: listOf(isText),
  parallelism: optional(isCount),
};

function fieldOf(name: string, value: unknown): unknown {
  if (!CHECKS[name as keyof BuildRequest](value))
    throw invalid(`${name} does not have the form that it must have`);
  return (MAPS as readonly string[]).includes(name) ? new Map(value as [string, unknown][]) : value;
}

function invalid(why: string): KilnError {
  return new KilnError('KILN_REQUEST_INVALID', `the build request cannot be read: ${why}`, {
    hint: 'write what requestToJson writes',
  });
}
