import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import {
  type Descriptor,
  type ImageConfig,
  type Index,
  type Manifest,
  MEDIA,
} from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import { normalisePlatform } from '../base/platform.ts';
import {
  digest,
  flag,
  type Invalid,
  integer,
  isObject,
  type Json,
  jsonOf,
  listOf,
  mapOf,
  member,
  record,
  shown,
  text,
  time,
} from './json-fields.ts';

/**
 * Parses manifests, indexes and configs from outside. Every field that Kiln uses is checked once,
 * here. A document that could be read as two kinds is refused (CVE-2021-41190).
 */

/** image-spec and distribution-spec ask for at least 4 MiB. Real documents are much smaller. */
export const MAX_MANIFEST = 4 << 20;
export const MAX_CONFIG = 8 << 20;
const MAX_LAYERS = 4096;

export type ImageDocument =
  | { readonly kind: 'index'; readonly index: Index }
  | { readonly kind: 'manifest'; readonly manifest: Manifest };

export const INDEX_TYPES: readonly string[] = [MEDIA.ociIndex, MEDIA.dockerIndex];
export const MANIFEST_TYPES: readonly string[] = [MEDIA.ociManifest, MEDIA.dockerManifest];

/**
 * Parses a manifest or an index. `mediaType` is the type according to the sender or the descriptor;
 * it must agree with the document. `where` is for the message. Throws KILN_MANIFEST_INVALID or
 * KILN_MANIFEST_UNSUPPORTED.
 */
export function parseDocument(bytes: Uint8Array, mediaType: string, where: string): ImageDocument {
  const invalid = (why: string) =>
    new KilnError('KILN_MANIFEST_INVALID', `${where} is not valid: ${why}`);
  const json = parseJson(bytes, invalid);
  if (
    json['schemaVersion'] === 1 ||
    mediaType.startsWith('application/vnd.docker.distribution.manifest.v1')
  ) {
    throw new KilnError(
      'KILN_MANIFEST_UNSUPPORTED',
      `${where} has the Docker schema 1 format, which is no longer supported`,
      {
        hint: 'push the image again with a current tool',
      },
    );
  }
  const looksIndex = json['manifests'] !== undefined;
  const looksManifest = json['layers'] !== undefined || json['config'] !== undefined;
  if (looksIndex && looksManifest) throw invalid('it has both manifests and layers');
  if (!looksIndex && !looksManifest) throw invalid('it has neither manifests nor layers');
  if (json['schemaVersion'] !== 2)
    throw invalid(`schemaVersion is ${shown(json['schemaVersion'])}, not 2`);
  const own = json['mediaType'];
  if (own !== undefined && own !== mediaType)
    throw invalid(`its mediaType is ${shown(own)} but was sent as ${shown(mediaType)}`);
  const types = looksIndex ? INDEX_TYPES : MANIFEST_TYPES;
  if (!types.includes(mediaType))
    throw invalid(
      `${shown(mediaType)} is not the type of ${looksIndex ? 'an index' : 'an image manifest'}`,
    );
  const annotations = annotationsOf(json, '', invalid);
  if (looksIndex) {
    const manifests = descriptorsOf(json['manifests'], 'manifests', invalid);
    return { kind: 'index', index: { schemaVersion: 2, mediaType, manifests, ...annotations } };
  }
  const config = descriptorOf(json['config'], 'config', invalid);
  const layers = descriptorsOf(json['layers'], 'layers', invalid);
  return {
    kind: 'manifest',
    manifest: { schemaVersion: 2, mediaType, config, layers, ...annotations },
  };
}

/**
 * The media type of a document that is known by its digest alone. A document without a mediaType is
 * an OCI document, and its fields say which.
 */
export function mediaTypeOf(bytes: Uint8Array, where: string): string {
  const invalid = (why: string) =>
    new KilnError('KILN_MANIFEST_INVALID', `${where} is not valid: ${why}`);
  const { mediaType, manifests } = parseJson(bytes, invalid);
  if (typeof mediaType === 'string') return mediaType;
  return manifests === undefined ? MEDIA.ociManifest : MEDIA.ociIndex;
}

/** The fields of a config that Kiln reads. Other fields are kept unchanged. */
const CONFIG = record({
  architecture: text,
  os: text,
  variant: text,
  'os.version': text,
  'os.features': listOf(text),
  author: text,
  created: time,
  rootfs: record({ type: text, diff_ids: listOf(digest, MAX_LAYERS) }),
  history: listOf(
    record({ created: time, created_by: text, author: text, comment: text, empty_layer: flag }),
  ),
  config: record({
    // These fields decide what is run, so their types are strict.
    User: text,
    WorkingDir: text,
    StopSignal: text,
    Env: listOf(text),
    Cmd: listOf(text),
    Entrypoint: listOf(text),
    OnBuild: listOf(text),
    Shell: listOf(text),
    ArgsEscaped: flag,
    ExposedPorts: mapOf(member),
    Volumes: mapOf(member),
    Labels: mapOf(text),
    Healthcheck: record({
      Test: listOf(text),
      Interval: integer,
      Timeout: integer,
      StartPeriod: integer,
      StartInterval: integer,
      Retries: integer,
    }),
  }),
});

/** Parses an image config. Throws KILN_CONFIG_INVALID, which names the field. */
export function parseConfig(bytes: Uint8Array, where: string): ImageConfig {
  const invalid = (why: string) =>
    new KilnError('KILN_CONFIG_INVALID', `${where} is not valid: ${why}`);
  const json = parseJson(bytes, invalid);
  for (const field of ['architecture', 'os']) text(json[field], field, invalid);
  CONFIG(json, '', invalid);
  return json as unknown as ImageConfig;
}

function parseJson(bytes: Uint8Array, invalid: Invalid): Json {
  const parsed = jsonOf(bytes);
  if (!parsed) throw invalid('it is not a JSON document');
  if (!isObject(parsed.value)) throw invalid('it is not a JSON object');
  return parsed.value;
}

function descriptorsOf(value: unknown, field: string, invalid: Invalid): readonly Descriptor[] {
  // Go writes an empty list as null.
  if (value === null) return [];
  listOf(() => {}, MAX_LAYERS)(value, field, invalid);
  return (value as readonly unknown[]).map((entry, index) =>
    descriptorOf(entry, `${field}[${index}]`, invalid),
  );
}

const DESCRIPTOR = record({ platform: record({}), artifactType: text });

function descriptorOf(value: unknown, field: string, invalid: Invalid): Descriptor {
  DESCRIPTOR(value, field, invalid);
  const { mediaType, digest: named, size, platform, artifactType } = value as Json;
  text(mediaType, `${field}.mediaType`, invalid);
  digest(named, `${field}.digest`, invalid);
  integer(size, `${field}.size`, invalid);
  if ((size as number) < 0) throw invalid(`${field}.size is ${shown(size)}, which is negative`);
  return {
    mediaType: mediaType as string,
    digest: named as Digest,
    size: size as number,
    ...(isObject(platform) ? { platform: platformOf(platform, `${field}.platform`, invalid) } : {}),
    ...annotationsOf(value as Json, `${field}.`, invalid),
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
  };
}

const PLATFORM = record({
  os: text,
  architecture: text,
  variant: text,
  'os.version': text,
  'os.features': listOf(text),
});

/** In JSON, a platform has `os.version` and `os.features`. */
export function platformOf(json: unknown, field: string, invalid: Invalid): Platform {
  PLATFORM(json, field, invalid);
  const { os, architecture, variant, ...more } = json as Readonly<
    Record<string, string | null | undefined>
  >;
  return normalisePlatform({
    os: os ?? '',
    architecture: architecture ?? '',
    variant: variant ?? '',
    osVersion: more['os.version'] ?? '',
    osFeatures: (more['os.features'] as unknown as readonly string[] | null | undefined) ?? [],
  });
}

const ANNOTATIONS = mapOf(typedAnnotation);

function typedAnnotation(value: unknown, field: string, invalid: Invalid): void {
  if (value !== null) text(value, field, invalid);
}

function annotationsOf(
  json: Json,
  before: string,
  invalid: Invalid,
): { annotations?: Readonly<Record<string, string>> } {
  const raw = json['annotations'];
  if (raw === undefined || raw === null) return {};
  ANNOTATIONS(raw, `${before}annotations`, invalid);
  return {
    annotations: Object.fromEntries(
      Object.entries(raw).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      ),
    ),
  };
}
